/** @file Trees of tensors (parameters, states, arguments): nested arrays and records, walked in insertion order. */
import { expected } from '../../errors.js'

export type Tree<T> = T | readonly Tree<T>[] | { readonly [key: string]: Tree<T> }

/** The same nesting with leaves of type `From` replaced by `To`. */
export type MapTree<S, From, To> = S extends From ? To : S extends object ? { [K in keyof S]: MapTree<S[K], From, To> } : To

/**
 * Arrays and plain records are branches. Everything else is a leaf: numbers, typed arrays, class instances, and anything
 * with a `shape` list (values, specs, host tensors).
 */
function isBranch(node: unknown): node is readonly unknown[] | Record<string, unknown> {
  if (typeof node !== 'object' || node === null) return false
  if (Array.isArray(node)) return true
  const prototype = Object.getPrototypeOf(node)
  return (prototype === Object.prototype || prototype === null) && !Array.isArray((node as { shape?: unknown }).shape)
}

/** Leaves in insertion order. */
export function flatten<T>(tree: Tree<T>): T[] {
  if (!isBranch(tree)) return [tree as T]
  return Object.values(tree).flatMap((child) => flatten(child as Tree<T>))
}

/** `tree` with each leaf replaced; `path` names the place, e.g. 'conv.0.weight'. */
export function mapTree<T, U>(tree: Tree<T>, f: (leaf: T, path: string) => U, path = ''): Tree<U> {
  if (!isBranch(tree)) return f(tree as T, path)
  const child = (key: string | number, value: unknown) => mapTree(value as Tree<T>, f, path ? `${path}.${key}` : String(key))
  if (Array.isArray(tree)) return tree.map((value, i) => child(i, value))
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, child(key, value)])) as Tree<U>
}

/** The nesting of `structure` filled with `leaves` in insertion order; the counts must agree. */
export function unflatten<U>(structure: Tree<unknown>, leaves: readonly U[]): Tree<U> {
  let next = 0
  const filled = mapTree(structure, () => leaves[next++])
  if (next !== leaves.length) throw expected('internal', 'unflatten', `${next} leaves`, leaves.length)
  return filled as Tree<U>
}

/** Paths of the leaves, in the order of `flatten`. */
export function leafPaths(tree: Tree<unknown>): string[] {
  const paths: string[] = []
  mapTree(tree, (_, path) => paths.push(path))
  return paths
}
