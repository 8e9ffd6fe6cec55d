/** @file Methods by name. */
import { AludelError } from '../errors.js'
import { atom } from './matching/atom.js'
import { datadam } from './matching/datadam.js'
import { dc } from './matching/dc.js'
import { dm } from './matching/dm.js'
import { dsa } from './matching/dsa.js'
import type { Method } from './method.js'

const methods: Readonly<Record<string, Method>> = { dm, datadam, atom, dc, dsa }

export const methodNames = Object.keys(methods)

/** A method by its registry name. Throws `not_found` with the known names. */
export function methodByName(name: string): Method {
  if (!Object.hasOwn(methods, name)) {
    throw new AludelError('not_found', `method: expected one of ${methodNames.join(', ')} but received '${name}'`)
  }
  return methods[name]
}
