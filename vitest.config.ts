/** @file Test projects. `unit` needs no addon; `device`, `method` and `golden` run the built addon; `package` packs and installs it; `types` only compiles. */
import { defineConfig } from 'vitest/config'

const project = (name: string, timeoutSeconds: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.{ts,mjs}`],
    testTimeout: timeoutSeconds * 1000,
    hookTimeout: timeoutSeconds * 1000,
    // Native threads and process exit codes are part of what is tested: one child process per file, not one thread.
    pool: 'forks' as const,
  },
})

export default defineConfig({
  test: {
    // Each device test may use both cores of a small machine by itself.
    maxWorkers: 2,
    projects: [
      project('unit', 60),
      project('device', 120),
      // A GPU, or the emulated one of scripts/emulated.mjs.
      ...(process.env.ALUDEL_DEVICE === 'cuda' ? [project('cuda', 300)] : []),
      project('method', 300),
      project('golden', 120),
      project('package', 600),
      { test: { name: 'types', include: [], typecheck: { enabled: true, only: true, include: ['test/types/**/*.test-d.ts'], tsconfig: 'tsconfig.json' } } },
    ],
  },
})
