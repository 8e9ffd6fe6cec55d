/**
 * @file Packs what is published: the package (ESM and CommonJS, declarations for both) and, with --platform, the package that holds the
 * addon built here for this platform. npm runs no scripts of its own here (.npmrc), so that the order is this file's.
 *
 *     npm run -s pack -- [--platform] [--host-isas] [--out DIR]
 *
 * The addon of a platform package has the kernels of all instruction sets (`npm run build`); --host-isas takes one that was built for this
 * machine only, to try the package here.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { filesUnder, root } from './lib/files.mjs'

const { values } = parseArgs({
  options: { platform: { type: 'boolean' }, 'host-isas': { type: 'boolean', default: false }, out: { type: 'string', default: '.' } },
})
const out = resolve(values.out)
mkdirSync(out, { recursive: true })

function run(command, args, cwd = root) {
  const { status, stdout } = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (status !== 0) {
    console.error(`pack: ${command} ${args.join(' ')} failed\n${stdout ?? ''}`)
    process.exit(1)
  }
  return stdout
}

const tsc = join(root, 'node_modules/typescript/bin/tsc')

/** The same sources as CommonJS, in `target`. The one use of import.meta becomes the file's own URL. */
function buildCommonJs(folder, target) {
  cpSync(join(root, 'src'), join(folder, 'src'), { recursive: true })
  rmSync(join(folder, 'src/cli'), { recursive: true })
  for (const path of filesUnder(['src'], ['.ts']).filter((path) => !path.startsWith('src/cli/'))) {
    const source = readFileSync(join(root, path), 'utf8')
    if (!source.includes('import.meta.url')) continue
    const changed = source.replaceAll('import.meta.url', "require('node:url').pathToFileURL(__filename).href")
    writeFileSync(join(folder, path), changed)
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n')
  const options = { noEmit: false, rootDir: 'src', outDir: target, verbatimModuleSyntax: false }
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions: options, include: ['src'] }),
  )
  run(process.execPath, [tsc, '-p', join(folder, 'tsconfig.json')])
  writeFileSync(join(target, 'package.json'), '{ "type": "commonjs" }\n')
}

/** A package with nothing but the addon, that npm installs only where it fits. */
function packPlatform() {
  const addon = join(root, 'build/Release/aludel.node')
  if (!existsSync(addon)) {
    console.error(`pack: no addon ${addon}; run \`npm run setup\` first`)
    process.exit(1)
  }
  const cache = join(root, 'build/CMakeCache.txt')
  if (!values['host-isas'] && existsSync(cache) && /^ALUDEL_ISAS:\w+=host$/m.test(readFileSync(cache, 'utf8'))) {
    console.error('pack: the addon was built for the instruction sets of this machine only; run `npm run build` first, or give --host-isas')
    process.exit(1)
  }
  const { version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const { platform, arch } = process
  const folder = mkdtempSync(join(tmpdir(), 'aludel-platform-'))
  const libc = platform === 'linux' ? { libc: [process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'] } : {}
  const description = `Native addon of aludel for ${platform} ${arch}`
  const fields = { name: `@aludel/${platform}-${arch}`, version, description, license, os: [platform], cpu: [arch], ...libc }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ ...fields, files: ['aludel.node'] }, null, 2)}\n`)
  copyFileSync(addon, join(folder, 'aludel.node'))
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  const name = run('npm', ['pack', '--silent', '--pack-destination', out], folder).trim()
  rmSync(folder, { recursive: true })
  return join(out, name)
}

/** Packs from a folder of its own: what lies in dist/ from earlier builds stays out, and stays as it is. */
function packMain() {
  // Inside the repository, so that the compiler finds its packages.
  mkdirSync(join(root, 'build'), { recursive: true })
  const folder = mkdtempSync(join(root, 'build', 'pack-'))
  try {
    const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    for (const name of ['package.json', ...files.filter((name) => name !== 'dist')])
      cpSync(join(root, name), join(folder, name), { recursive: true })
    run(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')])
    const work = join(folder, 'commonjs')
    mkdirSync(work)
    buildCommonJs(work, join(folder, 'dist/cjs'))
    return join(out, run('npm', ['pack', '--silent', '--pack-destination', out], folder).trim())
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

console.log(packMain())
if (values.platform) console.log(packPlatform())
