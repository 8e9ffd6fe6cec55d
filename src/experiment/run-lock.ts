/**
 * @file Who works in a run directory: one process at a time. The lock is a file whose name says whose it is, so that it is whole from the
 * moment it exists and a name is never used by two processes.
 *
 * To lock, a process makes its own file first and looks for others then; it owns the directory when there is no other whose process
 * lives, and takes its file away otherwise. Of two processes the one that looks later sees the other's file: never do both own it. Files
 * of processes that are gone belong to nobody else and can be removed by anybody.
 */
import { open, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AludelError, onFile } from '../errors.js'

export interface RunOwner {
  readonly pid: number
  /** Clock ticks from boot to the start of the process: a pid that the system has given to another process is told by it. */
  readonly startTicks: string
  /** Short form of the boot's id. */
  readonly boot: string
  /** Number of the pid namespace: a pid of another container says nothing here. */
  readonly namespace: string
  readonly host: string
}

export interface RunLock {
  /** Gives the directory free. Silent when done before. */
  release(): Promise<void>
}

const unknown = '-'
const lockName = /^run\.lock\.(\d+)\.(\d+|-)\.([0-9a-f]+|-)\.(\d+|-)\.(.+)$/

const nameOf = ({ pid, startTicks, boot, namespace, host }: RunOwner): string =>
  `run.lock.${pid}.${startTicks}.${boot}.${namespace}.${encodeURIComponent(host)}`

function ownerOf(name: string): RunOwner | undefined {
  const [, pid, startTicks, boot, namespace, host] = lockName.exec(name) ?? []
  return host === undefined ? undefined : { pid: Number(pid), startTicks, boot, namespace, host: decodeURIComponent(host) }
}

let self: Promise<RunOwner> | undefined

/** This process. What the system does not tell (outside Linux) is unknown and not compared. */
function thisProcess(): Promise<RunOwner> {
  self ??= (async () => {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => undefined)
    const namespace = await readlink('/proc/self/ns/pid').catch(() => undefined)
    return {
      pid: process.pid,
      startTicks: (await statOf(process.pid))?.startTicks ?? unknown,
      boot: boot?.replaceAll('-', '').slice(0, 16) ?? unknown,
      namespace: namespace?.replace(/\D/g, '') ?? unknown,
      host: hostname(),
    }
  })()
  return self
}

/** State and start of a process from /proc; undefined when there is none (or no /proc). The name before them may hold any character. */
async function statOf(pid: number): Promise<{ state: string; startTicks: string } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields && { state: fields[0], startTicks: fields[19] }
}

const differ = (a: string, b: string): boolean => a !== unknown && b !== unknown && a !== b

/** Whether the process may still be at work. Of other hosts and containers nothing can be known: they count as alive. */
async function alive(owner: RunOwner): Promise<boolean> {
  const here = await thisProcess()
  if (owner.host !== here.host) return true
  if (differ(owner.boot, here.boot)) return false
  if (differ(owner.namespace, here.namespace)) return true
  if (here.startTicks === unknown) return signalReaches(owner.pid)
  const stat = await statOf(owner.pid)
  if (!stat || differ(owner.startTicks, stat.startTicks)) return false
  // a process that was killed but not yet waited for is gone once its last thread is
  return !'ZX'.includes(stat.state) || (await threadsOf(owner.pid)) > 1
}

const threadsOf = (pid: number): Promise<number> =>
  readdir(`/proc/${pid}/task`).then(
    (names) => names.length,
    () => 0,
  )

function signalReaches(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Lock files in `dir` but the one called `own`: those of living processes, and names of the rest. */
async function otherLocks(dir: string, own?: string): Promise<{ living: RunOwner[]; stale: string[] }> {
  const living: RunOwner[] = []
  const stale: string[] = []
  for (const name of await readdir(dir)) {
    const owner = name === own ? undefined : ownerOf(name)
    if (!owner) continue
    if (await alive(owner)) living.push(owner)
    else stale.push(name)
  }
  return { living, stale }
}

/** The living process that has locked `dir`, if there is one. */
export async function runOwner(dir: string): Promise<RunOwner | undefined> {
  return (await otherLocks(dir)).living[0]
}

/** The error of who finds `dir` locked. */
export function lockedBy(dir: string, owner: RunOwner, here: string = hostname()): AludelError {
  const file = join(dir, nameOf(owner))
  const todo = owner.host === here ? 'wait for it or end it' : `if it is gone, remove ${file}`
  return new AludelError('locked', `${dir}: process ${owner.pid} on ${owner.host} works in this run; ${todo}`)
}

/** Two that start in the same moment see each other and both give way; they try again at different times. */
const attempts = 5

/**
 * Takes the directory for this process, over the locks of processes that are gone.
 * @throws AludelError `locked` naming the process that has it.
 */
export async function lockRun(dir: string): Promise<RunLock> {
  const own = await thisProcess()
  const name = nameOf(own)
  const path = join(dir, name)
  for (let attempt = 1; ; attempt++) {
    try {
      await (await open(path, 'wx')).close()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw lockedBy(dir, own)
      throw error
    }
    let living: RunOwner[]
    try {
      const others = await otherLocks(dir, name)
      living = others.living
      for (const old of living.length === 0 ? others.stale : []) await rm(join(dir, old), { force: true })
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
    if (living.length === 0) return lockAt(path)
    await rm(path, { force: true })
    if (attempt === attempts) throw lockedBy(dir, living[0])
    await sleep(20 + Math.random() * 100)
  }
}

function lockAt(path: string): RunLock {
  let held = true
  return {
    async release() {
      if (held) await rm(path, { force: true })
      held = false
    },
  }
}

/** Runs `action` while no other process works in `dir`. Throws `locked`. */
export async function locked<T>(dir: string, action: () => Promise<T>): Promise<T> {
  const lock = await onFile(dir, () => lockRun(dir))
  try {
    return await action()
  } finally {
    await lock.release()
  }
}
