#!/usr/bin/env node
/** @file The `aludel` executable. */
import { library } from './library.js'
import { runCli } from './program.js'

// A reader that closes the pipe early (| head) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await runCli({ args: process.argv.slice(2), library, stdout: process.stdout, stderr: process.stderr })
