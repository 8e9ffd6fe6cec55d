/** @file Cuts the bundled subset out of the full Fashion-MNIST: `node scripts/make-fashion-mnist-subset.mjs SOURCE_DIR`. Same input, same bytes. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'

const source = process.argv[2] ?? '/usr/share/datasets/fashion-mnist'
const target = fileURLToPath(new URL('../data/fashion-mnist-subset', import.meta.url))
const perClass = { train: 500, t10k: 100 }
const classes = 10

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** Rows of the first `count` images of every class, in original order. */
function firstRows(labels, count) {
  const taken = new Array(classes).fill(0)
  return [...labels.keys()].filter((row) => taken[labels[row]]++ < count)
}

/** An IDX file with another first dimension and other content. */
function idx(header, rows, body) {
  const bytes = Buffer.concat([header, body])
  bytes.writeUInt32BE(rows, 4)
  return bytes
}

function cut(prefix) {
  const images = gunzipSync(readFileSync(join(source, `${prefix}-images-idx3-ubyte.gz`)))
  const labels = gunzipSync(readFileSync(join(source, `${prefix}-labels-idx1-ubyte.gz`)))
  const pixels = images.readUInt32BE(8) * images.readUInt32BE(12)
  const rows = firstRows(labels.subarray(8), perClass[prefix])
  const imageBody = Buffer.concat(rows.map((row) => images.subarray(16 + row * pixels, 16 + (row + 1) * pixels)))
  const labelBody = Buffer.from(rows.map((row) => labels[8 + row]))
  return [
    [`${prefix}-images-idx3-ubyte.gz`, idx(images.subarray(0, 16), rows.length, imageBody), rows.length],
    [`${prefix}-labels-idx1-ubyte.gz`, idx(labels.subarray(0, 8), rows.length, labelBody), rows.length],
  ]
}

mkdirSync(target, { recursive: true })
const lines = []
for (const [name, raw, rows] of [...cut('train'), ...cut('t10k')]) {
  const packed = gzipSync(raw, { level: 9 })
  // operating-system byte of the gzip header, the only part that depends on the machine
  packed[9] = 255
  writeFileSync(join(target, name), packed)
  lines.push(`| ${name} | ${rows} | ${packed.length} | ${sha256(packed)} | ${sha256(raw)} |`)
}
writeFileSync(
  join(target, 'SOURCE.md'),
  `# Fashion-MNIST, a subset

Origin: Fashion-MNIST by Han Xiao, Kashif Rasul and Roland Vollgraf (Zalando Research), https://github.com/zalandoresearch/fashion-mnist,
as packaged by Debian in \`dataset-fashion-mnist\`. Licence: MIT, Copyright (c) 2017 Zalando SE; the text is in LICENSE.

Cut: the first ${perClass.train} training and the first ${perClass.t10k} test images of each of the ten classes, in their original order; pixels unchanged.
Made by \`node scripts/make-fashion-mnist-subset.mjs DIR\`, where DIR holds the four original files.

| file | rows | bytes | sha256 | sha256 of the decompressed file |
|---|---|---|---|---|
${lines.join('\n')}
`,
)
