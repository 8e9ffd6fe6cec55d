/**
 * @file Parquet in the form of Hugging Face `datasets`: columns image {bytes, path} and label, and label_logits of a set with learned labels;
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
}

/** Rows that are encoded between two turns of the event loop, a row group of their own. */
const groupRows = 100

/** A list of floats for each row. */
const logitsSchema: SchemaElement[] = [
  { name: 'label_logits', converted_type: 'LIST', repetition_type: 'OPTIONAL', num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', type: 'FLOAT', repetition_type: 'OPTIONAL' },
]

/** The file's bytes. Images are compressed already and are stored as they are. */
export async function encodeParquet(
  rows: AsyncIterable<LabelledImageFile>,
  { classes, labelLogits: soft, learningRate }: Pick<SyntheticSetFields, 'classes' | 'labelLogits' | 'learningRate'>,
): Promise<Uint8Array> {
  // The package has no CommonJS form.
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer')
  const logits = { feature: { dtype: 'float32', _type: 'Value' }, length: classes.length, _type: 'Sequence' }
  const features = {
    image: { _type: 'Image' },
    label: { names: classes, _type: 'ClassLabel' },
    ...(soft && { label_logits: logits }),
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
      { name: 'schema', num_children: soft ? 3 : 2 },
      { name: 'image', repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' },
      ...(soft ? logitsSchema : []),
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
        ...(soft ? [{ name: 'label_logits', data: group.map(({ labelLogits = [] }) => Array.from(labelLogits)) }] : []),
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
