# The same addon for tools that only know node-gyp; CMakeLists.txt is the reference. CPU only.
{
  'variables': {
    'kernels': ['<!@(node -p "require(\'fs\').readdirSync(\'native/cpu/kernels\').filter(f => f.endsWith(\'.cc\')).map(f => \'native/cpu/kernels/\' + f).join(\' \')")'],
    'addon': ['<!@(node -p "require(\'fs\').readdirSync(\'native/addon\').filter(f => f.endsWith(\'.cc\')).map(f => \'native/addon/\' + f).join(\' \')")'],
    'core': ['<!@(node -p "require(\'fs\').readdirSync(\'native/core\').filter(f => f.endsWith(\'.cc\')).map(f => \'native/core/\' + f).join(\' \')")'],
    # gyp has no flags per file: -O3 for all kernels, which CMake gives to the norm loops only, costs build time and changes no result
    'kernel_flags': ['-std=c++20', '-O3', '-ffp-contract=fast', '-fno-math-errno', '-fno-trapping-math', '-fvisibility=hidden', '-Wno-psabi'],
    'x64_defines': [],
    'x64_targets': [],
    'conditions': [
      ['target_arch=="x64"', {
        'x64_defines': ['ALUDEL_HAVE_AVX2', 'ALUDEL_HAVE_AVX512'],
        'x64_targets': ['kernels_avx2', 'kernels_avx512'],
      }],
    ],
  },
  'target_defaults': {
    'include_dirs': ['.'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fno-omit-frame-pointer'],
  },
  'targets': [
    {
      'target_name': 'kernels_portable',
      'type': 'static_library',
      'sources': ['<@(kernels)'],
      'defines': ['ALUDEL_ISA=portable', 'ALUDEL_VW=4'],
      'cflags_cc': ['<@(kernel_flags)'],
    },
    {
      'target_name': 'aludel',
      'dependencies': ['kernels_portable', '<@(x64_targets)'],
      'sources': ['<@(addon)', '<@(core)', 'native/cpu/cpu_backend.cc', 'native/cpu/isa.cc', 'native/cpu/thread_pool.cc', 'native/no_cuda/no_cuda_backend.cc'],
      'include_dirs': ['<!@(node -p "require(\'node-addon-api\').include")'],
      'defines': ['ALUDEL_HAVE_PORTABLE', '<@(x64_defines)'],
      'cflags_cc': ['-std=c++20', '-O2', '-fvisibility=hidden', '-fexceptions', '-frtti'],
      'cflags_cc!': ['-fno-exceptions', '-fno-rtti'],
      'cflags!': ['-fno-exceptions'],
      'ldflags': ['-static-libstdc++', '-static-libgcc'],
    },
  ],
  'conditions': [
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'kernels_avx2',
          'type': 'static_library',
          'sources': ['<@(kernels)'],
          'defines': ['ALUDEL_ISA=avx2', 'ALUDEL_VW=8'],
          'cflags_cc': ['<@(kernel_flags)', '-mavx2', '-mfma'],
        },
        {
          'target_name': 'kernels_avx512',
          'type': 'static_library',
          'sources': ['<@(kernels)'],
          'defines': ['ALUDEL_ISA=avx512', 'ALUDEL_VW=16'],
          'cflags_cc': ['<@(kernel_flags)', '-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512bw', '-mfma', '-mprefer-vector-width=512'],
        },
      ],
    }],
  ],
}
