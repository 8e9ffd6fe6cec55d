/** @file Teachers: frozen encoders, opened by path. */
export { type Backbone, backboneOf } from './backbone.js'
export { checkTeacherImage, openTeacher, type TeacherOptions } from './open.js'
export { type OwnTeacher, representations } from './own-teacher.js'
export { assessTeacher, type QualityOptions, type TeacherQuality } from './quality.js'
export type { TeacherRecord } from './record.js'
export type { Teacher } from './teacher.js'
