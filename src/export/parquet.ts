/** @file Parquet in the form of Hugging Face `datasets`: columns image {bytes, path} and label, the features in the file's metadata. */
import { Turn } from '../event-loop.js'
import { packageVersion } from '../package-root.js'

export interface LabelledImageFile {
  /** Name of the image within its set. */
  readonly path: string
  /** An encoded image. */
  readonly bytes: Uint8Array
  readonly label: number
}

/** Rows that are encoded between two turns of the event loop, a row group of their own. */
const groupRows = 100

/** The file's bytes. Images are compressed already and are stored as they are. */
export async function encodeParquet(rows: AsyncIterable<LabelledImageFile>, classes: readonly string[]): Promise<Uint8Array> {
  // The package has no CommonJS form.
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer')
  const features = { image: { _type: 'Image' }, label: { names: classes, _type: 'ClassLabel' } }
  const writer = new ByteWriter()
  const parquet = new ParquetWriter({
    writer,
    codec: 'UNCOMPRESSED',
    statistics: false,
    createdBy: `aludel version ${packageVersion}`,
    kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }],
    schema: [
      { name: 'schema', num_children: 2 },
      { name: 'image', repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' },
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
