/** @file Recipes by name: one file for each data set, method and number of images per class that the sources report. */
import { expected } from '../errors.js'
import { checkRecipe, type Recipe } from './schema.js'

export { override } from './override.js'
export { checkRecipe, type Recipe, recipeJsonSchema, recipeSchema } from './schema.js'

const matching = ['dm', 'datadam', 'atom', 'dc', 'dsa'] as const
const gradients = ['dc', 'dsa'] as const

/** Methods with a recipe at 1, 10 and 50 images per class. */
const cells: Readonly<Record<string, readonly string[]>> = {
  cifar10: matching,
  cifar100: matching,
  'tiny-imagenet': matching,
  mnist: gradients,
  'fashion-mnist': gradients,
}

/** 'cifar10/dm-ipc1', … */
export const recipeNames: readonly string[] = Object.entries(cells).flatMap(([data, methods]) =>
  methods.flatMap((method) => [1, 10, 50].map((ipc) => `${data}/${method}-ipc${ipc}`)),
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
