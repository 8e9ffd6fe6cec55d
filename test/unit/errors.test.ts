/** @file Errors themselves: whatever came is shown short, and what the system refused names its file. */
import { open } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { AludelError, expected, onFile, systemFailure } from '../../src/errors.js'

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

describe('expected shows', () => {
  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    ['text', "'text'"],
    [Number.NaN, 'NaN'],
    [3n, '3n'],
    [Symbol('a'), 'Symbol(a)'],
    [() => 3, 'a function'],
    [class A {}, 'a function'],
    [{ a: 1 }, 'an object'],
    [Object.create(null), 'an object'],
    [{ constructor: 3 }, 'an object'],
    [new (class Cat {})(), 'Cat'],
    [new Date(0), 'Date'],
    [Promise.resolve(), 'Promise'],
    [new Float32Array(3), 'Float32Array(3)'],
    [new DataView(new ArrayBuffer(3)), 'DataView'],
    [new Proxy(new Float32Array(3), {}), 'Float32Array'],
    [[], '[]'],
    [[1, 'a', null, [2], {}], "[1, 'a', null, [2], an object]"],
    [new Array(2), '[undefined, undefined]'],
    [Array.from({ length: 99 }, (_, i) => i), '[0, 1, 2, 3, 4, 5, 6, 7, …]'],
  ])('%#', (value, shown) =>
    expect(expected('invalid_option', 'it', 'that', value).message).toBe(`it: expected that but received ${shown}`),
  )

  it('long text by its start', () => {
    const { message } = expected('invalid_option', 'it', 'that', 'x'.repeat(1e6), 'shorten it')
    expect(message).toBe(`it: expected that but received '${'x'.repeat(200)}…'; shorten it`)
  })

  it('lists that hold themselves, and what cannot be looked at', () => {
    const list: unknown[] = []
    list.push(list)
    expect(expected('invalid_option', 'it', 'that', list).message).toBe('it: expected that but received [[a list]]')
    expect(expected('invalid_option', 'it', 'that', revoked()).message).toBe('it: expected that but received an object')
  })
})

describe('systemFailure', () => {
  const failure = (code: string, path?: string) => Object.assign(new Error('what the system said'), { code, syscall: 'open', path })

  it.each<[string, string | undefined, string | undefined, string]>([
    ['ENOSPC', 'of the system', 'of the caller', 'of the caller: no space left on the device; free some or choose another place (ENOSPC)'],
    ['EISDIR', 'of the system', undefined, 'of the system: a directory stands where a file is needed (EISDIR)'],
    ['EODD', undefined, undefined, 'open: what the system said (EODD)'],
  ])('%s', (code, own, given, message) => {
    const cause = failure(code, own)
    expect(systemFailure(cause, given)).toMatchObject({ name: 'AludelError', code: 'io', message, cause })
  })

  it('leaves other errors as they are', () => {
    for (const error of [new TypeError('x'), new AludelError('internal', 'x'), 'text', undefined]) expect(systemFailure(error)).toBe(error)
  })

  it('is what onFile throws', async () => {
    await expect(onFile('mine', () => open('/no/such/file'))).rejects.toMatchObject({
      code: 'io',
      message: expect.stringMatching(/^mine: no such/),
    })
    expect(await onFile('mine', async () => 3)).toBe(3)
  })
})
