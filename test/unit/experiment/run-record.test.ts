/** @file run.json, events.jsonl and manifest.json that someone changed: every field that is used is checked, and named when it is wrong. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeRealImages } from '../../../src/experiment/real-images.js'
import { createRunDir, type EvaluationRecord, readEvents, readRunRecord, reopenRunDir } from '../../../src/experiment/run-dir.js'
import { readManifest } from '../../../src/experiment/synthetic-set.js'
import { writeReport } from '../../../src/report/index.js'
import { fakeLibrary, run as runCommand } from '../cli/fake-library.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { tinyRecord, tinySet } from './sets.js'

const result = { network: 'convnet', mean: 50, std: 1, n: 1, values: [50], interval: null, perClass: [50, null] }
const evaluation: EvaluationRecord = { label: 'distilled', epochs: 3, results: [result] }
const withResult = (change: object) => ({ evaluations: [{ ...evaluation, results: [{ ...result, ...change }] }] })

describe('run.json', () => {
  it.each<[string, object, string]>([
    ['another status', { status: 'paused' }, 'status'],
    ['no config', { config: undefined }, 'config'],
    ['a config that is a list', { config: [] }, 'config'],
    ['a config with objects in it', { config: { seed: { toString: 1 } } }, 'config'],
    ['no data', { data: undefined }, 'data'],
    ['data as text', { data: 'mnist' }, 'data'],
    ['data without a specification', { data: { ...tinyRecord().data, specification: undefined } }, 'data'],
    ['a specification that is no text', { data: { ...tinyRecord().data, specification: 3 } }, 'data'],
    ['a name that is no text', { data: { ...tinyRecord().data, name: null } }, 'data'],
    ['a number of images that is none', { data: { ...tinyRecord().data, images: '100' } }, 'data'],
    ['no versions', { versions: undefined }, 'versions'],
    ['versions as a list', { versions: ['0.1.0'] }, 'versions'],
    ['a host that is text', { host: 'here' }, 'host'],
    ['a start that is no text', { started: 5 }, 'started'],
    ['an end that is no text', { finished: 5 }, 'finished'],
    ['an error that is no text', { error: {} }, 'error'],
    ['no evaluations', { evaluations: undefined }, 'evaluations'],
    ['evaluations that are none', { evaluations: [3] }, 'evaluations'],
    ['an evaluation without results', { evaluations: [{ ...evaluation, results: undefined }] }, 'evaluations'],
    ['a label that is no text', { evaluations: [{ ...evaluation, label: 3 }] }, 'evaluations'],
    ['a mean that is no number', withResult({ mean: '50' }), 'evaluations'],
    ['values that are no list', withResult({ values: 50 }), 'evaluations'],
    ['an interval of one number', withResult({ interval: [50] }), 'evaluations'],
    ['an interval as text', withResult({ interval: '50 to 51' }), 'evaluations'],
    ['phases that are none', { phases: [{ name: 'distill' }] }, 'phases'],
    ['commands as one text', { commands: 'aludel distill' }, 'commands'],
    ['a network without a name', withResult({ network: undefined }), 'evaluations'],
  ])('%s', async (_, change, field) => {
    const dir = freshDir()
    writeFileSync(join(dir, 'run.json'), JSON.stringify({ ...tinyRecord(), ...change }))
    await tinySet().save(dir)
    for (const read of [readRunRecord, reopenRunDir, writeReport]) {
      await expectError(() => read(dir), 'invalid_data', new RegExp(`run\\.json: field '${field}': expected .+ but received`))
    }
    const { code, stdout } = await runCommand(fakeLibrary().library, 'evaluate', dir, '--json')
    expect([code, JSON.parse(stdout)]).toMatchObject([1, { error: { code: 'invalid_data' } }])
  })

  it('may say all that a run says', async () => {
    const dir = freshDir()
    const record = { ...tinyRecord(), status: 'failed', error: 'why', finished: 'then', ...withResult({}) } as const
    const run = await createRunDir(dir, { ...record, config: { a: null, b: true, c: 'x', d: [1, 2], e: ['x'], f: [] } })
    await run.close()
    expect((await readRunRecord(dir)).evaluations).toEqual([evaluation])
  })

  it('is not written when it could not be read back', () =>
    expectError(() => createRunDir(freshDir(), { ...tinyRecord(), data: undefined } as never), 'invalid_data', /field 'data'/))
})

describe('events.jsonl', () => {
  it.each<[string, unknown]>([
    ['a list', []],
    ['a step without a number', { type: 'step', loss: 1 }],
    ['a step with a loss as text', { type: 'step', step: 1, loss: '1' }],
    ['an end without seconds', { type: 'done', step: 1 }],
    ['an evaluation without results', { type: 'evaluation', label: 'distilled', epochs: 1 }],
  ])('%s', async (_, event) => {
    const dir = freshDir()
    writeFileSync(join(dir, 'events.jsonl'), `${JSON.stringify(event)}\n`)
    await expectError(() => readEvents(dir), 'invalid_data', /events\.jsonl: line 1 is not an event/)
  })

  it('may hold kinds of events that are not known here', async () => {
    const dir = freshDir()
    writeFileSync(join(dir, 'events.jsonl'), '{"type":"later"}\n')
    expect(await readEvents(dir)).toEqual([{ type: 'later' }])
  })
})

describe('real.safetensors', () => {
  const real = (sampleLabels: Int32Array, rows = Int32Array.of(0, 0, 0, 0)) => ({
    rows,
    distances: new Float64Array(rows.length),
    nearest: new Uint8Array(rows.length * 36),
    samples: new Uint8Array(sampleLabels.length * 36),
    sampleLabels,
  })

  it.each<[string, ReturnType<typeof real>, RegExp]>([
    ['a sample of a class that there is not', real(Int32Array.of(0, 2)), /label of sample 1: expected a class in \[0, 2\) but received 2/],
    ['a sample of a negative class', real(Int32Array.of(-1)), /label of sample 0: expected a class in \[0, 2\) but received -1/],
    ['rows of other images', real(Int32Array.of(0), Int32Array.of(0, 0)), /tensor 'rows': expected I32 \[4\] but received 'I32 \[2\]'/],
  ])('%s', async (_, images, text) => {
    const dir = freshDir()
    await (await createRunDir(dir, tinyRecord())).close()
    await tinySet().save(dir)
    await writeRealImages(dir, images)
    await expectError(() => writeReport(dir), 'invalid_data', text)
  })
})

describe('manifest.json', () => {
  it('with classes that nest without end', async () => {
    const dir = freshDir()
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    await tinySet().save(dir)
    writeFileSync(join(dir, 'manifest.json'), `{"format": "aludel-synthetic-set", "version": 1, "classes": ${deep}}`)
    await expectError(() => readManifest(dir), 'invalid_data', /field 'classes': expected .* but received a value that nests too deeply/)
  })

  it.each<[string, object, string]>([
    ['classes as text', { classes: 'ab' }, 'classes'],
    ['a config with objects in it', { config: { seed: {} } }, 'config'],
    ['rows that are fractions', { sourceIds: [0.5, 1, 2, 3] }, 'sourceIds'],
    ['rows beyond 32 bits', { sourceIds: [2 ** 40, 1, 2, 3] }, 'sourceIds'],
    ['a source without a hash', { source: { name: 'tiny', split: 'train' } }, 'source'],
  ])('%s', async (_, change, field) => {
    const dir = freshDir()
    await tinySet().save(dir)
    writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ ...(await readManifest(dir)), ...change }))
    await expectError(() => readManifest(dir), 'invalid_data', new RegExp(`manifest\\.json: field '${field}': expected`))
  })
})
