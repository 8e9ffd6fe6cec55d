/** @file `aludel recipes`: the names of the recipes, one of them as JSON, or the schema of all. */
import type { Command } from 'commander'
import { type CliContext, outputOf } from '../context.js'

export function addRecipes(program: Command, context: CliContext): void {
  const command = program
    .command('recipes')
    .description('list the recipes, or print one as JSON to start your own from')
    .argument('[name]', 'recipe, such as cifar10/dm-ipc1')
    .option('--schema', 'print the JSON Schema of recipes instead')
  command.action((name: string | undefined, options: { readonly schema?: boolean }) => recipesCommand(name, options, command, context))
}

async function recipesCommand(
  name: string | undefined,
  { schema = false }: { readonly schema?: boolean },
  command: Command,
  context: CliContext,
): Promise<void> {
  const output = outputOf(context, command)
  const { recipeByName, recipeJsonSchema, recipeNames } = await import('../../recipes/index.js')
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
