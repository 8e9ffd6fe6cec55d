/** @file Distribution matching through the method contract. */
import { testMethod } from './contract.js'

testMethod('dm')
