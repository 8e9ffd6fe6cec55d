/**
 * @file Parquet in the form of Hugging Face `datasets`: columns image {bytes, path} and label, and label_logits or targets of a set with learned labels;
 * the features and a learned rate in the file's metadata.
 */
import type { SchemaElement } from 'hyparquet-writer'
import { Turn } from '../event-loop.js'
import type { SyntheticSetFields } from '../experiment/types.js'
import { packageVersion } from '../package-root.js'

export interface LabelledImageFile {
  /** Name of the image within its set. */
  readonly path: string
  /** An encoded image. */
  readonly bytes: Uint8Array
  readonly label: number
  /** One a class; all rows have them, or none. */
  readonly labelLogits?: Float32Array
  readonly targets?: Float32Array
}

/** Rows that are encoded between two turns of the event loop, a row group of their own. */
const groupRows = 100

/** A list of floats for each row. */
const listSchema = (name: string): SchemaElement[] => [
  { name, converted_type: 'LIST', repetition_type: 'OPTIONAL', num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', type: 'FLOAT', repetition_type: 'OPTIONAL' },
]

/** The file's bytes. Images are compressed already and are stored as they are. */
export async function encodeParquet(
  rows: AsyncIterable<LabelledImageFile>,
  { classes, labelLogits, targets, learningRate }: Pick<SyntheticSetFields, 'classes' | 'labelLogits' | 'targets' | 'learningRate'>,
): Promise<Uint8Array> {
  // The package has no CommonJS form.
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer')
  // a set has one of the two at most
  const learned = labelLogits ? 'label_logits' : targets && 'targets'
  const list = { feature: { dtype: 'float32', _type: 'Value' }, length: classes.length, _type: 'Sequence' }
  const features = {
    image: { _type: 'Image' },
    label: { names: classes, _type: 'ClassLabel' },
    ...(learned && { [learned]: list }),
  }
  const writer = new ByteWriter()
  const parquet = new ParquetWriter({
    writer,
    codec: 'UNCOMPRESSED',
    statistics: false,
    createdBy: `aludel version ${packageVersion}`,
    kvMetadata: [
      { key: 'huggingface', value: JSON.stringify({ info: { features } }) },
      ...(learningRate === undefined ? [] : [{ key: 'lr', value: String(Math.fround(learningRate)) }]),
    ],
    schema: [
      { name: 'schema', num_children: learned ? 3 : 2 },
      { name: 'image', repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' },
      ...(learned ? listSchema(learned) : []),
    ],
  })
  const turn = new Turn()
  let group: LabelledImageFile[] = []
  const flush = async () => {
    if (group.length === 0) return
    const image = group.map(({ bytes, path }) => ({ bytes, path }))
    const label = BigInt64Array.from(group, (row) => BigInt(row.label))
    await parquet.write({
      rowGroupSize: groupRows,
      columnData: [
        { name: 'image', data: image },
        { name: 'label', data: label },
        ...(learned ? [{ name: learned, data: group.map((row) => Array.from(row.labelLogits ?? row.targets ?? [])) }] : []),
      ],
    })
    group = []
    await turn.breathe()
  }
  for await (const row of rows) {
    group.push(row)
    if (group.length === groupRows) await flush()
  }
  await flush()
  await parquet.finish()
  return writer.getBytes()
}
