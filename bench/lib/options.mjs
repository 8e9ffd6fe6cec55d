/** @file Command-line options of the bench scripts: whole numbers checked, mistakes answered with the usage line and exit code 2. */
import { parseArgs } from 'node:util'

export function usageError(message, usage) {
  console.error(`${message}\nusage: ${usage}`)
  process.exit(2)
}

/** Parses `process.argv` by node:util's option table; `usage` is printed when it does not fit, and for --help instead of running. */
export function parseOptions(options, usage) {
  let parsed
  try {
    parsed = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h' } }, allowPositionals: true })
  } catch (error) {
    return usageError(error.message, usage)
  }
  if (parsed.values.help) {
    console.log(`usage: ${usage}`)
    process.exit(0)
  }
  return parsed
}

/** A whole number >= least, or the default when the option is absent. */
export function wholeNumber(name, text, fallback, usage, least = 1) {
  if (text === undefined) return fallback
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least)
    usageError(`--${name}: expected a whole number >= ${least} but received '${text}'`, usage)
  return value
}
