/** @file What is said of images that a run starts from and that are the same: the kernel matrix is singular but for its ridge. */
import { describeRepeated } from '../../ridge/index.js'

/** For groups of equal rows among `n` images; nothing where there are none. */
export function copyNotices(groups: readonly (readonly number[])[], n: number): string[] {
  const copies = groups.reduce((sum, { length }) => sum + length - 1, 0)
  if (copies === 0) return []
  const which = describeRepeated(groups)
  return [`${copies} of the ${n} images that the run starts from are copies of others (${which}): only the ridge tells them apart`]
}
