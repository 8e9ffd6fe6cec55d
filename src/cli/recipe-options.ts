/** @file Options that come from a recipe: its values stand where none was given on the command line. */
import type { Command } from 'commander'
import { readText } from '../data/file-bytes.js'
import { parseSpecification } from '../data/specification.js'
import { AludelError, expected } from '../errors.js'
import type { RunRecord } from '../experiment/run-dir.js'
import type { Recipe } from '../recipes/index.js'
import { asUsageError } from './exit-codes.js'
import { assignment, nonEmptyPath, type OptionText } from './options.js'

export interface RecipeOptions {
  readonly recipe?: string
  readonly override?: Readonly<Record<string, OptionText>>
}

export function addRecipeOptions(command: Command): Command {
  return command
    .option('--recipe <name>', 'take what is not given from a recipe, such as cifar10/dm-ipc1, or from a JSON file', nonEmptyPath)
    .option('--override <path=value>', 'a value of the recipe by its dotted path, such as distill.imageLr=2; repeatable', assignment)
}

/** Longest recipe file. */
const maxBytes = 1 << 20

/** A recipe by its name, or from a file when the name ends in .json, with the overrides in place. */
async function loadRecipe(name: string, overrides: Readonly<Record<string, OptionText>>): Promise<Recipe> {
  const { checkRecipe, override, recipeByName } = await import('../recipes/index.js')
  const what = `recipe ${name}`
  const recipe = name.endsWith('.json')
    ? checkRecipe(what, await readJson(name))
    : await recipeByName(name).catch((error) => Promise.reject(asUsageError(error)))
  return Object.keys(overrides).length > 0 ? checkRecipe(`${what} with overrides`, override(recipe, overrides)) : recipe
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path, maxBytes, 'give a recipe of the list that `aludel recipes` prints, or a JSON file')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: expected JSON but received: ${(cause as Error).message}`, { cause })
  }
}

/** `--data` completed by the recipe's, which names the same data set. */
function dataOf(given: string | undefined, { data }: Recipe): string {
  const text = given ?? (data.path === undefined ? undefined : `${data.name}:${data.path}`)
  if (text === undefined) {
    const todo = `--data ${data.name}:PATH says where it is`
    throw expected('invalid_option', '--data', `the place of ${data.name}, which the recipe is for`, undefined, todo)
  }
  const { name } = parseSpecification(text)
  if (name !== data.name) throw expected('invalid_option', '--data', `${data.name}, which the recipe is for`, name)
  return text
}

type WithRecipe = RecipeOptions & { readonly data?: string; readonly set?: Readonly<Record<string, OptionText>> }

/** What run.json keeps of a recipe. */
export type RecipeRecord = NonNullable<RunRecord['recipe']>

/** `options` of a command, completed from its recipe when it has one. Explicit options win. */
export async function withRecipe<T extends WithRecipe>(options: T, command: Command): Promise<{ options: T; recipe?: RecipeRecord }> {
  const { recipe: name, override = {} } = options
  if (name === undefined) {
    if (options.override !== undefined) throw expected('invalid_option', '--override', '--recipe beside it', undefined)
    return { options }
  }
  const recipe = await loadRecipe(name, override)
  const { data, distill, evaluate, reported } = recipe
  const { options: methodOptions, ...general } = distill
  const { name: _, path: __, ...reading } = data
  const { networks, repeats, protocol, epochs } = evaluate ?? {}
  const values = { networks, repeats, protocol, epochs, ...reading, ...general }
  const ofCommand = new Set(command.options.map((option) => option.attributeName()))
  const own = Object.entries(values).filter(
    ([key, value]) => value !== undefined && ofCommand.has(key) && command.getOptionValueSource(key) !== 'cli',
  )
  const completed = {
    ...options,
    ...Object.fromEntries(own),
    data: dataOf(options.data, recipe),
    set: { ...methodOptions, ...options.set },
  }
  return { options: completed, recipe: { name, ...(evaluate && { evaluate }), ...(reported && { reported }) } }
}
