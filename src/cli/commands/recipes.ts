/** @file `aludel recipes`: the names of the recipes, one of them as JSON or with the origin of its settings, or the schema of all. */
import type { Command } from 'commander'
import { expected } from '../../errors.js'
import { type CliContext, outputOf } from '../context.js'
import { explainedLines, explainRecipe } from '../explain-recipe.js'

interface Options {
  readonly schema?: boolean
  readonly explain?: boolean
}

export function addRecipes(program: Command, context: CliContext): void {
  const command = program
    .command('recipes')
    .description('list the recipes, or print one as JSON to start your own from')
    .argument('[name]', 'recipe, such as cifar10/dm-ipc1')
    .option('--explain', 'say of every setting where it comes from: paper, released code, or our choice')
    .option('--schema', 'print the JSON Schema of recipes instead')
  command.action((name: string | undefined, options: Options) => recipesCommand(name, options, command, context))
}

async function recipesCommand(
  name: string | undefined,
  { schema = false, explain = false }: Options,
  command: Command,
  context: CliContext,
): Promise<void> {
  const output = outputOf(context, command)
  const { recipeByName, recipeJsonSchema, recipeNames } = await import('../../recipes/index.js')
  if (explain) {
    if (name === undefined || schema) throw expected('invalid_option', '--explain', 'the name of one recipe', name)
    const explained = await explainRecipe(await recipeByName(name))
    for (const line of explainedLines(explained)) output.line(line)
    return output.value(explained)
  }
  if (name === undefined && !schema) {
    // a whitened set trains networks on whitened images only: good to know before one is chosen
    const whitens = async (recipe: string) => ((await recipeByName(recipe)).data.zca ? `${recipe} (whitens: zca)` : recipe)
    output.line((await Promise.all(recipeNames.map(whitens))).join('\n'))
    return output.value(recipeNames)
  }
  const value = schema || name === undefined ? recipeJsonSchema() : await recipeByName(name)
  output.line(JSON.stringify(value, null, 2))
  output.value(value)
}
