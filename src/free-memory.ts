/** @file Memory that this process may still take. */

/** Bytes, with the limits of containers. */
export function freeMemory(): number {
  // the types of Node 20.9 do not know it; every Node that this package runs on has it
  return (process as NodeJS.Process & { availableMemory(): number }).availableMemory()
}
