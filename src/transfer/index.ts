/** @file Public surface of transfer. */
export { type CellStore, openCells, readCells, type TransferCell } from './cells.js'
export { type HeldOutLoss, type HeldOutOptions, heldOutLoss } from './held-out.js'
export {
  defaultSettings,
  protocols as transferProtocols,
  type SettingsChange,
  type TransferProtocol,
  type TransferSettings,
} from './settings.js'
export { type TransferSet, type TransferSource, type TransferTeacher, transferSources } from './source.js'
export { type TransferAccuracy, type TransferRow, transferRows } from './summary.js'
export type { TransferTarget, TransferTargetInput } from './target.js'
export { type TransferOptions, type TransferProgress, transfer } from './transfer.js'
