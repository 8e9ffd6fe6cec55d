/**
 * @file Every reader of files against files that are damaged at random: whatever the bytes, the answer is what the file holds or an
 * `AludelError`, never another error, a crash or an array that no file of this size can hold. Seeds are random and printed on failure.
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { cifar10 } from '../../../src/data/cifar10.js'
import { cifar100 } from '../../../src/data/cifar100.js'
import { decodeImages } from '../../../src/data/decode-images.js'
import { imageFolder } from '../../../src/data/image-folder.js'
import { mnist } from '../../../src/data/mnist.js'
import { npz } from '../../../src/data/npz-dataset.js'
import { parseSpecification } from '../../../src/data/specification.js'
import { tinyImagenet } from '../../../src/data/tiny-imagenet.js'
import { whiteningHash } from '../../../src/data/whitening.js'
import { AludelError } from '../../../src/errors.js'
import { readCheckpoint, writeCheckpoint } from '../../../src/experiment/checkpoint-file.js'
import { decodeManifest } from '../../../src/experiment/manifest.js'
import { readRealImages, writeRealImages } from '../../../src/experiment/real-images.js'
import { readRepresentationSample, writeRepresentationSample } from '../../../src/experiment/representation-sample.js'
import { createRunDir, readEvents, readRunRecord } from '../../../src/experiment/run-dir.js'
import { addStage, readStages } from '../../../src/experiment/stages.js'
import { loadSyntheticSet } from '../../../src/experiment/synthetic-set.js'
import { decodeSafetensors } from '../../../src/files/safetensors.js'
import { decodeWhitening, encodeWhitening } from '../../../src/preprocess/whitening-file.js'
import { tinyCheckpoint } from '../experiment/checkpoints.js'
import { tinyLearned, tinyRecord, tinySet } from '../experiment/sets.js'
import { bytes, expectError, freshDir, mnistDir, ramp, write } from './fixtures.js'
import { halves, jpeg, png, tree } from './image-fixtures.js'
import { header, npy, zipBytes } from './zip-archive.js'

/** A sound file in its place, and the reader that finds it there. */
interface Subject {
  readonly path: string
  readonly read: () => unknown
}

/** A file alone, read from its bytes. */
function inMemory(content: Uint8Array, read: (path: string, content: Uint8Array) => unknown): Subject {
  const path = write(freshDir(), 'file', content)
  return { path, read: () => read(path, Uint8Array.from(readFileSync(path))) }
}

const inDir = (dir: string, file: string, read: (dir: string) => unknown): Subject => ({ path: join(dir, file), read: () => read(dir) })

async function savedSet(): Promise<string> {
  const dir = freshDir()
  await tinySet().save(dir)
  return dir
}

async function recordedRun(): Promise<string> {
  const dir = freshDir()
  const run = await createRunDir(dir, tinyRecord())
  for (const step of [1, 2, 3]) await run.append({ type: 'step', step, iterations: 3, loss: 1 / step, seconds: step, imagesPerSecond: 9 })
  await run.close()
  return dir
}

async function whiteningFile(): Promise<Uint8Array> {
  const fields = {
    ...{ order: 'raw' as const, eps: 0.1, image: [2, 2, 1] as const, channels: { mean: [0], std: [1] } },
    ...{ mean: new Float32Array(4), transform: new Float32Array(16).fill(1), inverse: new Float32Array(16).fill(1) },
    source: { name: 'tiny', sha256: '00' },
  }
  return encodeWhitening({ ...fields, sha256: await whiteningHash(fields) })
}

const cifarDir = (file: string, labels: readonly number[]): string => {
  const dir = freshDir()
  write(dir, file, bytes(labels, ramp(3072), labels, ramp(3072)))
  return dir
}

const tinyTree = async () => {
  const image = await png(halves(4, 4))
  return tree({
    ...{ 'wnids.txt': 'n01\nn02\n', 'train/n01/images/a.JPEG': image, 'train/n02/images/a.JPEG': image },
    ...{ 'val/images/0.JPEG': image, 'val/images/1.JPEG': image, 'val/val_annotations.txt': '0.JPEG\tn01\t0\n1.JPEG\tn02\t0\n' },
  })
}

const real = {
  ...{ rows: Int32Array.of(0, 1, 2, 3), distances: new Float64Array(4), nearest: new Uint8Array(4 * 36) },
  ...{ samples: new Uint8Array(72), sampleLabels: Int32Array.of(0, 1) },
}

const subjects: Readonly<Record<string, () => Subject | Promise<Subject>>> = {
  'an IDX file': () => inDir(mnistDir(), 'train-images-idx3-ubyte', (dir) => mnist(dir)),
  'a gzip file': () => inDir(mnistDir(), 't10k-labels-idx1-ubyte.gz', (dir) => mnist(dir, 'test')),
  'a batch of CIFAR-10': () => inDir(cifarDir('test_batch.bin', [3]), 'test_batch.bin', (dir) => cifar10(dir, 'test')),
  'a file of CIFAR-100': () => inDir(cifarDir('test.bin', [3, 4]), 'test.bin', (dir) => cifar100(dir, 'test')),
  'an npz file': () =>
    inMemory(
      zipBytes(
        ['x.npy', npy(header('|u1', '(6, 2, 2)'), ramp(24)), { deflate: true }],
        ['y.npy', npy(header('<i8', '(6,)'), new Uint8Array(48)), {}],
      ),
      (path) => npz(path),
    ),
  'a PNG': async () => inMemory(await png(halves(16, 16)), (path) => decodeImages([path], { size: 8 })),
  'a JPEG': async () => inMemory(await jpeg(halves(16, 16)), (path) => decodeImages([path], { size: 8 })),
  'an image of a folder': async () =>
    inDir(tree({ 'train/a/0.png': await png(halves(4, 4)), 'train/a/1.png': await png(halves(4, 4)) }), 'train/a/1.png', (dir) =>
      imageFolder(dir),
    ),
  'the ids of Tiny ImageNet': async () => inDir(await tinyTree(), 'wnids.txt', (dir) => tinyImagenet(dir)),
  'the annotations of Tiny ImageNet': async () => inDir(await tinyTree(), 'val/val_annotations.txt', (dir) => tinyImagenet(dir, 'test')),
  'the tensors of a set': async () =>
    inMemory(Uint8Array.from(readFileSync(join(await savedSet(), 'data.safetensors'))), (path, content) =>
      decodeSafetensors(path, content),
    ),
  'a saved set': async () => inDir(await savedSet(), 'data.safetensors', loadSyntheticSet),
  'a saved set with learned labels': async () => {
    const dir = freshDir()
    await tinyLearned().save(dir)
    return inDir(dir, 'data.safetensors', loadSyntheticSet)
  },
  'a manifest': async () =>
    inMemory(Uint8Array.from(readFileSync(join(await savedSet(), 'manifest.json'))), (path, content) =>
      decodeManifest(path, new TextDecoder().decode(content)),
    ),
  'a run record': async () => inDir(await recordedRun(), 'run.json', readRunRecord),
  'an event log': async () => inDir(await recordedRun(), 'events.jsonl', readEvents),
  'a checkpoint': async () => {
    const path = join(freshDir(), 'checkpoint')
    await writeCheckpoint(path, tinyCheckpoint(3))
    return { path, read: () => readCheckpoint(path) }
  },
  'a checkpoint whose hash is made to fit': async () => {
    const path = join(freshDir(), 'checkpoint')
    await writeCheckpoint(path, tinyCheckpoint(3))
    const read = () => {
      const body = Uint8Array.from(readFileSync(path)).subarray(0, -32)
      writeFileSync(path, bytes(body, [...createHash('sha256').update(body).digest()]))
      return readCheckpoint(path)
    }
    return { path, read }
  },
  'a whitening': async () => inMemory(await whiteningFile(), decodeWhitening),
  'images of a report on the way': async () => {
    const path = join(freshDir(), 'stages.safetensors')
    const images = { dtype: 'f32', shape: [2, 1, 2, 2, 1], data: new Float32Array(8) } as const
    for (const step of [3, 9]) await addStage(path, { ...tinyCheckpoint(step), tensors: { images } })
    return { path, read: () => readStages(path) }
  },
  'representations of a report': async () => {
    const dir = freshDir()
    const values = (rows: number) => Float32Array.from({ length: 3 * rows }, (_, i) => i)
    await writeRepresentationSample(dir, { dim: 3, real: values(4), start: values(2), images: values(2) })
    return inDir(dir, 'representations.safetensors', () => readRepresentationSample(dir, 3))
  },
  'real images of a report': async () => {
    const dir = freshDir()
    await writeRealImages(dir, real)
    return inDir(dir, 'real.safetensors', () => readRealImages(dir, { images: 4, pixels: 36, classes: 2 }))
  },
}

/** What may happen to a file: some bytes changed, a part cut out or doubled, noise put in, the end cut off. */
const damage = fc.oneof(
  fc.record({ kind: fc.constant('change' as const), at: fc.nat(), to: fc.uint8Array({ minLength: 1, maxLength: 8 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.nat(64) }),
  fc.record({ kind: fc.constant('double' as const), at: fc.nat(), length: fc.nat(64) }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), to: fc.uint8Array({ maxLength: 32 }) }),
  fc.record({ kind: fc.constant('end' as const), at: fc.nat() }),
)
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never

function damaged(content: Uint8Array, change: Damage): Uint8Array {
  const at = change.at % (content.length + 1)
  const [before, after] = [content.subarray(0, at), content.subarray(at)]
  switch (change.kind) {
    case 'change':
      return bytes(before, change.to, after.subarray(change.to.length))
    case 'cut':
      return bytes(before, after.subarray(change.length))
    case 'double':
      return bytes(before, after.subarray(0, change.length), after)
    case 'insert':
      return bytes(before, change.to, after)
    case 'end':
      return before
  }
}

describe.each(Object.keys(subjects))('%s', (name) => {
  let subject: Subject
  let whole: Uint8Array
  beforeAll(async () => {
    subject = await subjects[name]()
    whole = Uint8Array.from(readFileSync(subject.path))
  })

  it('is read while it is whole', async () => {
    expect(await subject.read()).toBeDefined()
  })

  it('damaged at random is read or refused', async () => {
    let refused = 0
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (changes) => {
        writeFileSync(subject.path, changes.reduce(damaged, whole))
        try {
          await subject.read()
        } catch (error) {
          expect(error).toBeInstanceOf(AludelError)
          expect(['invalid_data', 'not_found', 'incompatible']).toContain((error as AludelError).code)
          refused++
        }
      }),
      { numRuns: 150 },
    )
    expect(refused).toBeGreaterThan(0)
  })
})

describe('any value in any field', () => {
  const manifest = async () => JSON.parse(readFileSync(join(await savedSet(), 'manifest.json'), 'utf8'))
  const run = async () => JSON.parse(readFileSync(join(await recordedRun(), 'run.json'), 'utf8'))
  const readRun = (text: string) => {
    const dir = freshDir()
    writeFileSync(join(dir, 'run.json'), text)
    return readRunRecord(dir)
  }

  it.each([
    ['manifest.json', manifest, (text: string) => decodeManifest('manifest.json', text)],
    ['run.json', run, readRun],
  ] as const)('of %s is named in invalid_data', async (_, make, read) => {
    const record = await make()
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...Object.keys(record)), fc.jsonValue(), async (field, value) => {
        await expectError(() => read(JSON.stringify({ ...record, [field]: value })), 'invalid_data', /json: /)
      }),
      { numRuns: 300 },
    )
  })

  it('of the header of a safetensors file too', async () => {
    const path = join(await savedSet(), 'data.safetensors')
    const whole = Uint8Array.from(readFileSync(path))
    const end = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true))
    const header = JSON.parse(new TextDecoder().decode(whole.subarray(8, end)))
    const field = fc.constantFrom('dtype', 'shape', 'data_offsets', undefined)
    fc.assert(
      fc.property(fc.constantFrom('images', 'labels', '__metadata__', 'more'), field, fc.jsonValue(), (name, inner, value) => {
        const changed = { ...header, [name]: inner === undefined ? value : { ...header[name], [inner]: value } }
        const text = new TextEncoder().encode(JSON.stringify(changed))
        const file = bytes(new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer), text, whole.subarray(end))
        try {
          const { tensors } = decodeSafetensors(path, file)
          for (const { data } of tensors.values()) expect(data.length).toBeLessThanOrEqual(whole.length)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_data' })
        }
      }),
      { numRuns: 500 },
    )
  })
})

it('any text is a specification of data or refused', () => {
  const part = fc.oneof(fc.string(), fc.constantFrom('cifar10', ':', ',', 'size=', 'flip=yes', 'normalize=0.1/0.2', '__proto__', '='))
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      try {
        expect(typeof parseSpecification(parts.join('')).name).toBe('string')
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid_option' })
      }
    }),
    { numRuns: 1000 },
  )
})
