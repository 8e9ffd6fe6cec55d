/** @file `npm run quickstart`: builds what is missing, then distills the bundled data set and compares; arguments go on to the command. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

// Ctrl-C reaches the whole process group: the child decides what it means, this script waits and passes its exit code on.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {})

function run(args, stdio) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(signal ? 130 : code))
  })
}

// what the build says goes to stderr: stdout belongs to the result
const built = await run(['scripts/setup.mjs'], ['inherit', 2, 'inherit'])
process.exitCode = built !== 0 ? built : await run(['dist/cli/main.js', 'quickstart', ...process.argv.slice(2)], 'inherit')
