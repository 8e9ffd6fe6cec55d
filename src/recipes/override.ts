/** @file Values laid over a recipe by dotted paths: 'distill.imageLr' = 2. */
import { expected } from '../errors.js'
import type { Recipe } from './schema.js'

type Tree = Readonly<Record<string, unknown>>

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A copy with `value` at `path`; what stands between is made. The whole is checked afterwards, so a path may be any that the schema knows. */
function put(tree: Tree, [name, ...rest]: readonly string[], value: unknown): Tree {
  const inner = Object.hasOwn(tree, name) ? tree[name] : undefined
  return { ...tree, [name]: rest.length === 0 ? value : put(isTree(inner) ? inner : {}, rest, value) }
}

/** `recipe` with each value at its dotted path. Not checked yet. Throws `invalid_option` for a path that is none. */
export function override(recipe: Recipe, values: Readonly<Record<string, unknown>>): unknown {
  let tree: Tree = recipe
  for (const [path, value] of Object.entries(values)) {
    const names = path.split('.')
    const wrong = names.some((name) => name === '' || name === '__proto__')
    if (wrong) throw expected('invalid_option', 'override', "a dotted path such as 'distill.imageLr'", path)
    tree = put(tree, names, value)
  }
  return tree
}
