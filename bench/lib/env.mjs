/** @file Fingerprint of the machine and the sources: what a record must say about where its numbers come from. */
import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus, totalmem } from 'node:os'

function commit() {
  const { status, stdout } = spawnSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : null
}

/** JSON-able: CPU model, usable cores, memory in GiB, Node version, commit ('-dirty' when the tree has changes). */
export function environment() {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory_gib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    commit: commit(),
  }
}
