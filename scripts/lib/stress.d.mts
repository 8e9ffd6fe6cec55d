/** Types of stress.mjs for the tests in TypeScript. */
export const artifact: readonly string[]
export function writeStripes(dir: string): string
