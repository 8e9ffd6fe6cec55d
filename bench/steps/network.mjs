/** @file The network of all benches: ConvNet-3, width 128, instance norm, 32x32x3 images, 10 classes. */
import { reshape } from '../../dist/engine/index.js'
import { convNet } from '../../dist/nn/networks/conv-net.js'

export const image = [32, 32, 3]
export const classes = 10
export const network = convNet({ input: image, classes, depth: 3, width: 128 })

/** [N, H, W, C] -> [1, N, H, W, C]: one network. */
export const grouped = (x) => reshape(x, [1, ...x.shape])
