/** @file Which output of a classifier speaks of which class of the data: the same order, names, ImageNet's synsets, or a map that is given. */
import { imagenetSubset, imagenetSubsetNames } from '../../data/imagenet-subsets.js'
import { AludelError, expected } from '../../errors.js'
import type { ModelDescription } from '../../onnx/index.js'

export interface ClassMap {
  /** Output of the model for each class of the data. */
  readonly outputs: readonly number[]
  /** Outputs of the model. */
  readonly width: number
  /** 'order': class c is output c. */
  readonly by: 'order' | 'names' | 'synsets' | 'map'
}

/** Model output by name of a class of the data; names that the data have not are left alone. */
export type GivenClassMap = Readonly<Record<string, number>>

const imagenetWidth = 1000

/**
 * The map from the classes of the data to the outputs of a model. With `given` that; else by the names in the model's own metadata; else
 * class c is output c where there are as many; else by synset, for a model of ImageNet's 1,000 classes and folders named by synsets that
 * the tables of 10-class subsets know.
 * Throws `invalid_data` naming both widths when there is no map, `invalid_option` for a given one that lacks a class or points nowhere.
 */
export function mapClasses(path: string, classes: readonly string[], model: ModelDescription, given?: GivenClassMap): ClassMap {
  const width = model.width ?? model.classes?.length ?? classes.length
  if (given) return { outputs: checkGiven(path, classes, width, given), width, by: 'map' }
  if (model.classes) return { outputs: byName(path, classes, model.classes), width, by: 'names' }
  if (width === classes.length) return { outputs: classes.map((_, c) => c), width, by: 'order' }
  const synsets = width === imagenetWidth ? synsetOutputs() : undefined
  const outputs = classes.map((name) => synsets?.get(name))
  if (outputs.every((output) => output !== undefined)) return { outputs, width, by: 'synsets' }
  const unknown = classes.filter((_, c) => outputs[c] === undefined)
  const why = synsets ? `${shown(unknown)} ${unknown.length === 1 ? 'is' : 'are'} in no table of ImageNet subsets; ` : ''
  throw expected(
    'invalid_data',
    `${path}: outputs`,
    `${classes.length} logits, one for each class of the data`,
    width,
    `${why}give --class-map FILE.json with the output of each class: {"${classes[0]}": 0, …}`,
  )
}

const shown = (names: readonly string[]): string => `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`

function synsetOutputs(): Map<string, number> {
  const classes = imagenetSubsetNames.flatMap((name) => imagenetSubset(name).classes)
  return new Map(classes.map(({ synset, imagenetIndex }) => [synset, imagenetIndex]))
}

function byName(path: string, classes: readonly string[], own: readonly string[]): number[] {
  const outputs = classes.map((name) => own.indexOf(name))
  const missing = classes.filter((_, c) => outputs[c] < 0)
  if (missing.length === 0) return outputs
  throw expected(
    'invalid_data',
    `${path}: classes`,
    `one named '${missing[0]}' as in the data`,
    shown(own),
    'or give --class-map FILE.json',
  )
}

function checkGiven(path: string, classes: readonly string[], width: number, given: GivenClassMap): number[] {
  const what = `${path}: class map`
  const places = new Map<number, string>()
  return classes.map((name) => {
    if (!Object.hasOwn(given, name)) throw expected('invalid_option', what, `an output for class '${name}'`, 'none')
    const output = given[name]
    if (!Number.isSafeInteger(output) || output < 0 || output >= width)
      throw expected('invalid_option', `${what}: '${name}'`, `an output in [0, ${width})`, output)
    const other = places.get(output)
    if (other !== undefined) throw new AludelError('invalid_option', `${what}: '${other}' and '${name}' are both output ${output}`)
    places.set(output, name)
    return output
  })
}
