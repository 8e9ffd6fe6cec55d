/** @file `aludel doctor`: what this installation can compute with, and why something is absent. Exit code 1 when nothing can. */
import type { Command } from 'commander'
import { type CliContext, outputOf } from '../context.js'
import { exitCode } from '../exit-codes.js'
import { coreCount, cpuModel, memoryGiB, versions } from '../host.js'
import type { CudaState } from '../library.js'

export function addDoctor(program: Command, context: CliContext): void {
  const command = program.command('doctor').description('show processor, instruction set, memory and backends of this installation')
  command.action(() => doctorCommand(command, context))
}

async function doctorCommand(command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const backends = await context.library.backends()
  const memory = memoryGiB()
  output.line(
    `versions   ${Object.entries(versions())
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
  )
  output.line(`processor  ${cpuModel()}, ${coreCount()} threads at hand`)
  output.line(`memory     ${memory.free} GiB free of ${memory.total} GiB`)
  output.line(
    `cpu        ${backends.cpu.available ? `ready, ${backends.cpu.isa} in use (usable here: ${backends.cpu.isas.join(', ')})` : backends.cpu.reason}`,
  )
  for (const line of cudaLines(backends.cuda)) output.line(`cuda       ${line}`)
  const onnx = await context.library.onnxRuntime()
  output.line(
    `onnx       ${onnx.available ? `ONNX Runtime ${onnx.version} on ${onnx.providers.join(', ')}, for test-time inference` : onnx.reason}`,
  )
  output.value({ versions: versions(), processor: cpuModel(), threads: coreCount(), memoryGiB: memory, backends, onnxRuntime: onnx })
  if (!backends.cpu.available) context.setExitCode(exitCode.failure)
}

const versionsOf = ({ driver, toolkit }: CudaState): string =>
  `${driver === null ? 'no driver' : `driver for CUDA ${driver}`}, built with CUDA ${toolkit}`

function cudaLines(cuda: CudaState): string[] {
  if (!cuda.available) return [cuda.reason, ...(cuda.toolkit === null ? [] : [versionsOf(cuda)])]
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(1)
  return [
    `ready, ${versionsOf(cuda)}`,
    ...cuda.devices.map(({ name, architecture, bytes }, i) => `GPU ${i}: ${name}, ${architecture}, ${gib(bytes)} GiB`),
    ...cuda.libraries.map(({ name, version, missing }) =>
      version === '' ? `no ${name}, which is not needed (${missing})` : `${name} ${version}, used where it is known to be faster`,
    ),
  ]
}
