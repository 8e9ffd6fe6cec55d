#!/usr/bin/env node
/** @file The `aludel` executable. */
import { exitCode } from './exit-codes.js'
import { library } from './library.js'
import { runCli } from './program.js'

// Nobody to tell is no reason to lose a run: progress that cannot be written is dropped, and a reader that closes the pipe early (| head)
// has seen what it wanted. A result that cannot be written for another reason is a failure, told by the exit code alone.
let resultLost = false
process.stderr.on('error', () => {})
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return
  resultLost = true
  process.exitCode ||= exitCode.failure
})

const code = await runCli({ args: process.argv.slice(2), library, stdout: process.stdout, stderr: process.stderr })
process.exitCode = code === 0 && resultLost ? exitCode.failure : code
