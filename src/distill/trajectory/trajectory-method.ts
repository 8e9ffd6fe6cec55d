/** @file What the methods of trajectory matching share: presets from what is published, options, and what they must agree on. */
import { defineTrajectoryMethod, type Preset, type TrajectoryMethod } from '../method.js'
import { resolveTrajectory, type TrajectoryOptions, trajectoryOptionSpecs, trajectorySettings } from './options.js'
import { nearestPublished, type PublishedSource, type TrajectoryDefaults, type TrajectoryMethodName } from './published.js'

const docs: Readonly<Record<PublishedSource, string>> = {
  paper:
    'tables and commands that the authors publish; an IPC between two columns takes the one below it, other data the columns of CIFAR-10',
  yaml: 'configuration files that the authors ship; an IPC between two of them takes the one below it, other data those of CIFAR-10',
}

const presetOf = (method: TrajectoryMethodName, source: PublishedSource): Preset<TrajectoryOptions> => ({
  doc: docs[source],
  settings({ ipc, data = 'cifar10' }) {
    const { iterations, imageLr, imageMomentum, init, augment, network, options } = nearestPublished(
      method,
      data,
      ipc,
      source,
    ) as TrajectoryDefaults
    return { iterations, realBatch: 0, imageLr, imageMomentum, init, augment, network, options }
  },
})

/** `sources`: those that say something of the method; the first one is the default. */
export const trajectoryMethod = (
  name: TrajectoryMethodName,
  doc: string,
  sources: readonly PublishedSource[],
): TrajectoryMethod<TrajectoryOptions> =>
  defineTrajectoryMethod<TrajectoryOptions>({
    name,
    doc,
    presets: Object.fromEntries(sources.map((source) => [source, presetOf(name, source)])),
    options: trajectoryOptionSpecs,
    resolve: (options, _, given) => resolveTrajectory(options, given),
    // theta_{i+1} = theta_i - lr grad CE(aug(X_i), Y_i; theta_i); L = |theta_N - theta*_{s+M}|^2 / |theta*_s - theta*_{s+M}|^2
    trajectory: trajectorySettings,
  })
