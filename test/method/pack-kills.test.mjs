/** @file Packing that is killed with SIGKILL at random moments ends with the bytes of one that nobody touched. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, it } from 'vitest'
import { randomFrom } from '../../scripts/lib/stress.mjs'

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
const freshDir = () => mkdtempSync(join(tmpdir(), 'aludel-test-'))
const images = 400

async function folder() {
  const dir = freshDir()
  for (const part of ['train', 'val']) {
    for (const [c, name] of ['a', 'b'].entries()) {
      mkdirSync(join(dir, part, name), { recursive: true })
      const pixels = Buffer.alloc(160 * 160 * 3)
      for (let i = 0; i < (part === 'train' ? images / 2 : 4); i++) {
        for (let p = 0; p < pixels.length; p++) pixels[p] = (p * (i + 3) + c * 77) & 255
        writeFileSync(
          join(dir, part, name, `${i}.jpeg`),
          await sharp(pixels, { raw: { width: 160, height: 160, channels: 3 } })
            .jpeg()
            .toBuffer(),
        )
      }
    }
  }
  return dir
}

/** Exit code, or null when it was killed `ms` after it had packed a batch. */
async function pack(data, out, ms) {
  const child = spawn(process.execPath, [main, 'pack', '--data', `folder:${data}`, '--size', '96', '--out', out, '--json'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const closed = new Promise((resolve) => child.on('close', resolve))
  child.stderr.once('data', () => ms !== undefined && setTimeout(() => child.kill('SIGKILL'), ms))
  return closed
}

it('ends with the same bytes however often it is killed', async () => {
  const data = await folder()
  const [whole, killed] = [join(freshDir(), 'whole'), join(freshDir(), 'killed')]
  expect(await pack(data, whole)).toBe(0)
  const random = randomFrom(7)
  let kills = 0
  for (let i = 0; i < 6; i++) if ((await pack(data, killed, 80 * random())) === null) kills++
  expect(kills).toBeGreaterThan(1)
  expect(await pack(data, killed)).toBe(0)
  for (const name of ['train.u8', 'train.json', 'test.u8', 'test.json']) {
    expect(Buffer.compare(readFileSync(join(killed, name)), readFileSync(join(whole, name))), name).toBe(0)
  }
})
