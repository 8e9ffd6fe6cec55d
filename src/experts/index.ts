/** @file Experts: networks trained on real images, whose parameters after every epoch are kept for trajectory matching. */
export type { ExpertRecord, ExpertsData, ExpertsRecord } from './record.js'
export { type ExpertsOptions, type ExpertsProgress, usualGsam } from './settings.js'
export { checkExperts, type ExpertStore, type ExpertsUse, openExperts } from './store.js'
export { trainExperts } from './train-experts.js'
export { type TrimmedStore, trimExperts } from './trim.js'
export { type VerifiedExpert, verifyExperts } from './verify.js'
