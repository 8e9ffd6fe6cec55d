/** @file Recipes by name: one file for each data set, method and number of images per class that the sources report. */
import { expected } from '../errors.js'
import { checkRecipe, type Recipe } from './schema.js'

export { override } from './override.js'
export { checkRecipe, type Recipe, recipeJsonSchema, recipeSchema } from './schema.js'

type Cells = Readonly<Record<string, readonly number[]>>

const small = [1, 10, 50] as const
const gradients: Cells = { dc: small, dsa: small }
const matching: Cells = { dm: small, datadam: small, atom: small, ...gradients }

/** Images per class by method. */
const cells: Readonly<Record<string, Cells>> = {
  cifar10: { ...matching, mtt: small, ftd: small, tesla: [1], datm: [...small, 500, 1000], pad: [...small, 500, 1000] },
  cifar100: { ...matching, mtt: small, ftd: small, tesla: [50], datm: [...small, 100], pad: [...small, 100] },
  'tiny-imagenet': { ...matching, mtt: small, ftd: [1, 10], datm: small, pad: small },
  mnist: gradients,
  'fashion-mnist': gradients,
}

/** 'cifar10/dm-ipc1', … */
export const recipeNames: readonly string[] = Object.entries(cells).flatMap(([data, methods]) =>
  Object.entries(methods).flatMap(([method, counts]) => counts.map((ipc) => `${data}/${method}-ipc${ipc}`)),
)

/** The recipe of this name, checked. Rejects with `not_found` and the names of its data set, or of all data sets. */
export async function recipeByName(name: string): Promise<Recipe> {
  if (typeof name !== 'string') throw expected('invalid_option', 'recipe', "a name such as 'cifar10/dm-ipc1'", name)
  if (!recipeNames.includes(name)) {
    const [data] = name.split('/')
    const known = Object.hasOwn(cells, data) ? recipeNames.filter((candidate) => candidate.startsWith(`${data}/`)) : recipeNames
    throw expected('not_found', 'recipe', `one of ${known.join(', ')}`, name)
  }
  // only names of the list above reach this line
  const { recipe } = (await import(`./${name}.js`)) as { readonly recipe: Recipe }
  return checkRecipe(`recipe ${name}`, recipe)
}
