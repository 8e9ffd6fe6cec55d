/**
 * @file Distils by KIP and measures the set by its own kernel on test images: node docs/examples/kip-accuracy.mjs [DATA] [IPC] [STEPS] [LABELS]
 *
 * The set is measured before its first step and after its last.
 */
import { distill, kernelAccuracy, openDataset, openDevice } from 'aludel'

const [data = 'fashion-mnist', ipc = '10', steps = '300', labels = 'fixed'] = process.argv.slice(2)
const [train, test] = await Promise.all(['train', 'test'].map((split) => openDataset(data, split)))
const device = await openDevice()
try {
  const settings = { method: 'kip', ipc: Number(ipc), iterations: Number(steps), seed: 0, device }
  const tell = (step, { accuracy, loss }) => console.log(`step ${step}: ${accuracy.toFixed(2)} % of test images, loss ${loss.toFixed(5)}`)
  const first = await distill(train, { ...settings, iterations: 1, imageLr: 1e-30 }).result
  tell(0, await kernelAccuracy(first, { device, test }))
  const run = distill(train, { ...settings, methodOptions: { labels } })
  for await (const event of run) if (event.type === 'step') process.stderr.write(`\rstep ${event.step} loss ${event.loss.toFixed(5)} `)
  tell(steps, await kernelAccuracy(await run.result, { device, test }))
} finally {
  await device.close()
}
