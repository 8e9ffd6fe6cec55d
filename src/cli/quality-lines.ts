/** @file The quality report of a teacher, as commands print it. */
import type { TeacherQuality } from '../teachers/quality.js'
import type { Output } from './output.js'

/** Two lines for people, then the warnings. */
export function printQuality(quality: TeacherQuality, output: Output): void {
  const { samples, labelled, range, std, spread, constantDimensions, probe, teacher, warnings } = quality
  const probed = probe
    ? `linear probe ${probe.accuracy.toFixed(1)} % (guessing ${probe.chance.toFixed(1)} %) on ${probe.held} images, trained on ${probe.trained}`
    : `no linear probe: the images ${labelled ? 'are of one class' : 'have no labels'}`
  const deviation = `deviation ${std.mean.toPrecision(3)} (${std.least.toPrecision(2)} to ${std.most.toPrecision(2)})`
  const constant = `${constantDimensions} of ${teacher.dim} dimensions constant`
  output.line(`quality on ${samples} images: ${probed}`)
  output.line(
    `representations in [${range[0].toPrecision(3)}, ${range[1].toPrecision(3)}], ${deviation}, spread ${spread.toPrecision(2)}, ${constant}`,
  )
  for (const warning of warnings) output.notice(`warning: ${warning}`)
}
