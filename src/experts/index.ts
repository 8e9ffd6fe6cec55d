/** @file Experts: networks trained on real images, whose parameters after every epoch are kept for trajectory matching. */
export type { ExpertRecord, ExpertsData, ExpertsRecord } from './record.js'
export { checkExperts, type ExpertStore, type ExpertsUse, openExperts } from './store.js'
