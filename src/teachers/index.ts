/** @file Teachers: frozen encoders, opened by path. */
export { checkTeacherImage, openTeacher, type TeacherOptions } from './open.js'
export type { Teacher } from './teacher.js'
