/** @file A file of a saved set: its bytes are those that the manifest has the hash of, or it is refused. */
import { join } from 'node:path'
import { readWhole } from '../data/file-bytes.js'
import { expected } from '../errors.js'
import { fileEntry, type Manifest } from './manifest.js'

/** What Node reads in one piece. */
const maxDataBytes = 2 ** 31 - 2

/** Reads file `name` of `dir`; `todo` is for one that is missing. Throws `invalid_data` for other bytes than the manifest's, `not_found`, `io`. */
export async function readListed(dir: string, name: string, { files }: Pick<Manifest, 'files'>, todo: string): Promise<Uint8Array> {
  const path = join(dir, name)
  const bytes = await readWhole(path, maxDataBytes, todo)
  const { sha256 } = fileEntry(bytes)
  if (files[name]?.sha256 !== sha256) throw expected('invalid_data', path, `sha256 ${files[name]?.sha256 ?? 'in the manifest'}`, sha256)
  return bytes
}
