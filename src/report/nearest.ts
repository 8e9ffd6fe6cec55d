/** @file How near the synthetic images are to real ones, in a few sentences and numbers. */
import type { RealImages } from '../experiment/real-images.js'

const listed = 5

export function nearestSummary({ rows, distances }: RealImages): string {
  const order = [...distances.keys()].sort((a, b) => distances[a] - distances[b])
  const median = distances[order[Math.floor((order.length - 1) / 2)]]
  const items = order.slice(0, listed).map((i) => `<li>image ${i}: ${distances[i].toFixed(4)} from real image ${rows[i]}</li>`)
  return `<p>For each synthetic image the nearest of all real training images was searched. Distances are root mean square differences of pixels
between 0 and 1: 0 is a copy. The median distance is ${median.toFixed(3)}, the smallest
${distances[order[0]].toFixed(3)}. Nearest pairs:</p><ol>${items.join('')}</ol>`
}
