/** @file Methods by name. */
import { expected } from '../errors.js'
import { atom } from './matching/atom.js'
import { datadam } from './matching/datadam.js'
import { dc } from './matching/dc.js'
import { dm } from './matching/dm.js'
import { dsa } from './matching/dsa.js'
import type { Method } from './method.js'
import { frepo } from './regression/frepo.js'
import { kip } from './regression/kip.js'
import { krrSt } from './regression/krr-st.js'
import { rfad } from './regression/rfad.js'
import { datm, ftd, mtt, pad, tesla } from './trajectory/methods.js'

const methods: Readonly<Record<string, Method>> = {
  ...{ dm, datadam, atom, dc, dsa, mtt, ftd, tesla, datm, pad },
  ...{ frepo, kip, rfad, 'krr-st': krrSt },
}

const allNames = Object.keys(methods)

/** Those that read no labels and give representations. */
export const representationMethodNames = [krrSt.name]

/** Those of `distill`. */
export const methodNames = allNames.filter((name) => !representationMethodNames.includes(name))

/** A method by its registry name. Throws `not_found` with the known names, `invalid_option` for what is no text. */
export function methodByName(name: string): Method {
  if (typeof name !== 'string') throw expected('invalid_option', 'method', `one of ${allNames.join(', ')}`, name)
  if (!Object.hasOwn(methods, name)) throw expected('not_found', 'method', `one of ${allNames.join(', ')}`, name)
  return methods[name]
}
