/** @file The rule of a subset in words and as a table. */
import type { Subset } from '../prune/index.js'
import { definitionTable, formatNumber } from './html.js'

const orderTexts: Readonly<Record<string, string>> = {
  asc: 'smallest scores stay',
  desc: 'largest scores stay',
  moderate: 'scores nearest to the median of the class stay',
  ccs: 'coverage-centric: evenly over the range of scores, without the hardest',
  herding: 'herding: the mean of what stays follows the mean of the class',
  kCenter: 'k-center: what stays covers the class',
  craig: 'CRAIG: what stays stands for all gradients of the class',
  gradMatch: 'GradMatch: weighted gradients of what stays match those of the class',
  random: 'drawn at random',
}

function amountText(amount: Subset['rule']['amount']): string {
  if (amount.kind === 'percent') return `${amount.keepPercent} % stay, rounded down`
  if (amount.kind === 'window') return `the stretch from ${amount.from} to ${amount.to} of the order stays`
  return `${formatNumber(100 * amount.drop)} % go, rounded down`
}

export const orderText = (order: string): string => orderTexts[order] ?? order

export function ruleTable({ rule, score, data, indices }: Subset): string {
  return definitionTable('Rule', {
    order: `${rule.order}: ${orderText(rule.order)}`,
    score: score === null ? 'none' : `${score.name}, by ${score.source}`,
    amount: amountText(rule.amount),
    scope: rule.scope === 'class' ? 'class: the same share of every class' : 'global: of all images together',
    'minimum of a class': rule.minimumPerClass,
    ...(rule.seed !== null && { seed: rule.seed }),
    ...(rule.ccs && { 'hardest end': rule.ccs.hardest, cutoff: rule.ccs.cutoff, bins: rule.ccs.bins }),
    kept: `${indices.length} of ${data.samples} images`,
    data: `${data.name}, ${data.split}, ${data.sha256.slice(0, 12)}…`,
  })
}
