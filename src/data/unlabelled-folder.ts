/** @file Folders of images without labels: the images themselves where others have folders for the classes. */
import { join } from 'node:path'
import type { Split } from './dataset.js'
import { invalidFile } from './file-bytes.js'
import { type HoldOut, holdOutUnlabelled } from './hold-out.js'
import { imagesUnder, isFolder, isImageName, namesIn } from './image-files.js'
import { byClass, type LabelledFiles } from './labelled-files.js'

/** Whether `dir` holds images and no folders, which would be classes. Throws `invalid_data` for one that holds both. */
export async function isUnlabelled(dir: string): Promise<boolean> {
  const names = await namesIn(dir)
  const image = names.find(isImageName)
  if (image === undefined) return false
  for (const name of names) {
    if (isImageName(name) || !(await isFolder(join(dir, name)))) continue
    const todo = 'sort the images into the folders, or read all images without labels: labels=none'
    throw invalidFile(
      dir,
      `expected a folder of images for each class, or images alone, but '${image}' stands beside the folder '${name}'; ${todo}`,
    )
  }
  return true
}

/** All images below the folder of the split; without one of test images those that `rule` holds out. */
export async function unlabelledFiles(
  name: string,
  split: Split,
  { trainDir, testDir }: { readonly trainDir: string; readonly testDir: string | undefined },
  rule: HoldOut,
): Promise<LabelledFiles> {
  const dir = split === 'train' || testDir === undefined ? trainDir : testDir
  const { paths, names } = byClass([{ name: '', dir, files: await imagesUnder(dir) }])
  const rows = testDir === undefined && paths.length > 0 ? holdOutUnlabelled(name, paths.length, split, rule) : undefined
  const at = (list: readonly string[]) => (rows ? Array.from(rows, (row) => list[row]) : list)
  return { paths: at(paths), names: at(names), labels: new Int32Array(0) }
}
