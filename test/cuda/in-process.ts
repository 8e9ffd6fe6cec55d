/** @file Scripts in a process of their own, where the emulated GPU and its libraries are what the environment says. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { binding } from '../../src/engine/runtime/binding.js'

export const emulated = binding().surveyCuda().devices[0]?.name.startsWith('Emulated') ?? false

/** Runs a script in a process with these settings of the emulated GPU; what it logs as JSON lines comes back. */
export async function inProcess(settings: Record<string, string>, script: string): Promise<unknown[]> {
  const source = `
    import { openDevice, bindProgram, engine } from './dist/index.js'
    const log = (value) => console.log(JSON.stringify(value))
    const failure = ({ code, message }) => ({ code, message })
    const adding = (device, n = 4) => bindProgram(device, { inputs: { x: { shape: [n] } }, outputs: { y: {} }, build: (v) => ({ y: engine.add(v.x, 1) }) })
    const open = (options) => openDevice({ device: 'cuda', precision: 'f32', ...options })
    ${script}`
  const args = ['--input-type=module', '-e', source]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, CUDA_HOST_QUIET: '1', ...settings } })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}
