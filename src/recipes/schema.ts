/** @file What a recipe may say, as one schema: data, distillation and evaluation of one experiment. Mistakes are reported together, each with its path. */
import { z } from 'zod'
import { AludelError } from '../errors.js'

const count = z.int().min(1)
const option = z.union([z.number(), z.string(), z.array(z.number()), z.null()])

const data = z
  .strictObject({
    name: z.string().min(1).describe("data set as in --data, without its path: 'cifar10'"),
    path: z.string().min(1).exactOptional().describe('directory or file; given on the command line otherwise'),
    size: count.max(4096).exactOptional().describe('side in pixels that images of folders are resized to'),
    fit: z.enum(['squash', 'crop']).exactOptional(),
    normalize: z.string().min(1).exactOptional().describe("'auto', 'none', 'measured', a named table, or 'MEAN/STD'"),
    zca: z.boolean().exactOptional().describe('whiten the images'),
  })
  .describe('what is distilled, and how it is read')

const distill = z
  .strictObject({
    method: z.string().min(1),
    preset: z.string().min(1).exactOptional().describe("published settings; default: the method's first"),
    ipc: count.describe('synthetic images per class'),
    iterations: count.exactOptional(),
    realBatch: count.exactOptional(),
    imageLr: z.number().positive().exactOptional(),
    init: z.enum(['real', 'noise', 'predicted']).exactOptional(),
    augment: z.string().min(1).exactOptional(),
    network: z.string().min(1).exactOptional(),
    seed: z.int().min(0).exactOptional(),
    onDivergence: z.enum(['stop', 'rollback']).exactOptional(),
    options: z.record(z.string(), option).exactOptional().describe("the method's own options by name"),
  })
  .describe('settings of the run; what is left out is the preset’s')

const evaluate = z
  .strictObject({
    networks: z.array(z.string().min(1)).min(1).exactOptional(),
    repeats: count.exactOptional().describe('networks trained from scratch per name'),
    protocol: z
      .enum(['dc', 'glad', 'trajectory', 'frepo', 'kip', 'rfad'])
      .exactOptional()
      .describe("default 'trajectory' for sets with a learned rate, 'frepo', 'kip' and 'rfad' for sets of these, else 'dc'"),
    epochs: count.exactOptional(),
    augment: z.string().min(1).exactOptional(),
  })
  .describe('how the result is measured; what is left out is the protocol’s')

const reported = z
  .strictObject({
    accuracy: z.number().min(0).max(100).describe('per cent'),
    spread: z.number().min(0).exactOptional(),
    source: z.string().min(1),
  })
  .describe('what the source reports for this cell')

export const recipeSchema = z
  .strictObject({ data, distill, evaluate: evaluate.exactOptional(), reported: reported.exactOptional() })
  .describe('one experiment of aludel')

export type Recipe = z.infer<typeof recipeSchema>

/** The schema as JSON Schema (draft 2020-12), for editors and other programs. */
export const recipeJsonSchema = (): Record<string, unknown> => z.toJSONSchema(recipeSchema) as Record<string, unknown>

/** Throws `invalid_option` that lists every problem with its path. `what` names the recipe. */
export function checkRecipe(what: string, value: unknown): Recipe {
  const { success, data: recipe, error } = recipeSchema.safeParse(value)
  if (success) return recipe
  const problems = error.issues.map(({ path, message }) => `${path.length > 0 ? path.join('.') : 'recipe'}: ${message}`)
  throw new AludelError(
    'invalid_option',
    `${what}: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}: ${problems.join('; ')}`,
  )
}
