/** @file `aludel build`: compiles the native addon of this installation from the sources that came with it. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { AludelError } from '../../errors.js'
import { packageRequire, packageRoot } from '../../package-root.js'
import { type CliContext, outputOf } from '../context.js'

interface Options {
  readonly cuda?: true
}

export function addBuild(program: Command, context: CliContext): void {
  const command = program
    .command('build')
    .description('compile the native addon of this installation: needs a C++20 compiler, CMake and make or ninja')
    .option('--cuda', 'with the backend for GPUs: needs nvcc of a CUDA toolkit too')
  command.action((options: Options) => buildCommand(options, command, context))
}

async function buildCommand({ cuda }: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  if (!existsSync(join(packageRoot, 'CMakeLists.txt')))
    throw new AludelError('unavailable', `${packageRoot}: holds no sources to build; install the package again`)
  const cmakeJs = packageRequire.resolve('cmake-js/bin/cmake-js')
  const code = await new Promise<number | null>((resolve, reject) => {
    // The compiler talks to people: standard output belongs to the result.
    const options = ['--CDALUDEL_ISAS=host', `--CDALUDEL_CUDA=${cuda ? 'ON' : 'OFF'}`]
    const child = spawn(process.execPath, [cmakeJs, 'compile', '--out', 'build', ...options], { cwd: packageRoot, stdio: ['ignore', 2, 2] })
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0)
    throw new AludelError(
      'unavailable',
      `the native addon could not be built; it needs a C++20 compiler (g++ >= 12 or clang >= 15), CMake >= 3.20 and make or ninja${
        cuda ? ', and nvcc of CUDA 12.4 or later on PATH or named by CUDACXX' : ''
      }`,
    )
  const addon = join(packageRoot, 'build', 'Release', 'aludel.node')
  output.line(addon)
  output.value({ addon })
}
