/** @file DC: the method contract. */
import { testMethod } from './contract.js'

testMethod('dc', { methodOptions: { outerLoop: 2, innerLoop: 2 } })
