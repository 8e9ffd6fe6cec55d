/** @file The 10-class subsets of ImageNet-1K that distillation is measured on (GLaD, LD3M; 2411.12115), by synset: the name of a class's folder. */
import { expected } from '../errors.js'

export interface ImagenetClass {
  /** Place in the 1000 sorted synsets, from 0: the output of an ImageNet-1K classifier. */
  readonly imagenetIndex: number
  readonly synset: string
  readonly name: string
}

export interface ImagenetSubset {
  readonly name: string
  /** Another name in papers; null where there is none. */
  readonly alias: string | null
  /** In label order. */
  readonly classes: readonly ImagenetClass[]
}

/** Classes in label order: index, synset, name. */
const tables: Readonly<Record<string, { readonly alias?: string; readonly classes: string }>> = {
  'imagenet-a': {
    classes: `
      255 n02111129 Leonberg, 376 n02489166 proboscis_monkey, 984 n11879895 rapeseed, 364 n02457408 three-toed_sloth,
      500 n03042490 cliff_dwelling, 986 n12057211 yellow_lady's_slipper, 333 n02342885 hamster, 576 n03447447 gondola,
      148 n02071294 killer_whale, 135 n02013706 limpkin`,
  },
  'imagenet-b': {
    classes: `
      129 n02006656 spoonbill, 916 n06359193 web_site, 90 n01820546 lorikeet, 275 n02116738 African_hunting_dog,
      995 n13044778 earthstar, 874 n04487081 trolleybus, 102 n01872401 echidna, 259 n02112018 Pomeranian, 685 n03841143 odometer,
      139 n02025239 ruddy_turnstone`,
  },
  'imagenet-c': {
    classes: `
      565 n03393912 freight_car, 94 n01833805 hummingbird, 554 n03344393 fireboat, 535 n03208938 disk_brake, 92 n01828970 bee_eater,
      392 n02606052 rock_beauty, 291 n02129165 lion, 136 n02017213 European_gallinule, 324 n02280649 cabbage_butterfly,
      11 n01531178 goldfinch`,
  },
  'imagenet-d': {
    classes: `
      9 n01518878 ostrich, 258 n02111889 Samoyed, 13 n01534433 junco, 262 n02112706 Brabancon_griffon, 19 n01592084 chickadee,
      339 n02389026 sorrel, 321 n02276258 admiral, 24 n01622779 great_grey_owl, 93 n01829413 hornbill, 322 n02277742 ringlet`,
  },
  'imagenet-e': {
    classes: `
      816 n04277352 spindle, 96 n01843383 toucan, 100 n01860187 black_swan, 145 n02056570 king_penguin,
      739 n03992509 potter's_wheel, 713 n03924679 photocopier, 783 n04153751 screw, 76 n01774750 tarantula,
      688 n03857828 oscilloscope, 326 n02281787 lycaenid`,
  },
  imagenette: {
    classes: `
      0 n01440764 tench, 217 n02102040 English_springer, 482 n02979186 cassette_player, 491 n03000684 chain_saw,
      497 n03028079 church, 566 n03394916 French_horn, 569 n03417042 garbage_truck, 571 n03425413 gas_pump, 574 n03445777 golf_ball,
      701 n03888257 parachute`,
  },
  imagewoof: {
    classes: `
      193 n02096294 Australian_terrier, 182 n02093754 Border_terrier, 258 n02111889 Samoyed, 162 n02088364 beagle,
      155 n02086240 Shih-Tzu, 167 n02089973 English_foxhound, 159 n02087394 Rhodesian_ridgeback, 273 n02115641 dingo,
      207 n02099601 golden_retriever, 229 n02105641 Old_English_sheepdog`,
  },
  'imagenet-fruits': {
    alias: 'ImageFruit',
    classes: `
      953 n07753275 pineapple, 954 n07753592 banana, 949 n07745940 strawberry, 950 n07747607 orange, 951 n07749582 lemon,
      957 n07768694 pomegranate, 952 n07753113 fig, 945 n07720875 bell_pepper, 943 n07718472 cucumber, 948 n07742313 Granny_Smith`,
  },
  'imagenet-yellow': {
    alias: 'ImageYellow',
    classes: `
      309 n02206856 bee, 986 n12057211 yellow_lady's_slipper, 954 n07753592 banana, 951 n07749582 lemon, 987 n12144580 corn,
      779 n04146614 school_bus, 599 n03530642 honeycomb, 291 n02129165 lion, 72 n01773157 black_and_gold_garden_spider,
      11 n01531178 goldfinch`,
  },
  'imagenet-cats': {
    alias: 'ImageMeow',
    classes: `
      281 n02123045 tabby, 282 n02123159 tiger_cat, 283 n02123394 Persian_cat, 284 n02123597 Siamese_cat,
      285 n02124075 Egyptian_cat, 291 n02129165 lion, 292 n02129604 tiger, 290 n02128925 jaguar, 289 n02128757 snow_leopard,
      287 n02127052 lynx`,
  },
  'imagenet-birds': {
    alias: 'ImageSquawk',
    classes: `
      84 n01806143 peacock, 130 n02007558 flamingo, 88 n01818515 macaw, 144 n02051845 pelican, 145 n02056570 king_penguin,
      22 n01614925 bald_eagle, 96 n01843383 toucan, 9 n01518878 ostrich, 100 n01860187 black_swan,
      89 n01819313 sulphur-crested_cockatoo`,
  },
  'imagenet-geo': {
    classes: `
      980 n09472597 volcano, 970 n09193705 alp, 975 n09332890 lakeside, 974 n09288635 geyser, 973 n09256479 coral_reef,
      977 n09421951 sandbar, 976 n09399592 promontory, 978 n09428293 seashore, 972 n09246464 cliff, 979 n09468604 valley`,
  },
  'imagenet-food': {
    classes: `
      933 n07697313 cheeseburger, 934 n07697537 hotdog, 932 n07695742 pretzel, 963 n07873807 pizza, 930 n07684084 French_loaf,
      928 n07614500 ice_cream, 924 n07583066 guacamole, 959 n07831146 carbonara, 931 n07693725 bagel, 927 n07613480 trifle`,
  },
  'imagenet-mammals': {
    classes: `
      386 n02504458 African_elephant, 387 n02509815 lesser_panda, 354 n02437312 Arabian_camel, 340 n02391049 zebra,
      338 n02364673 guinea_pig, 104 n01877812 wallaby, 103 n01873310 platypus, 279 n02120079 Arctic_fox, 334 n02346627 porcupine,
      366 n02480855 gorilla`,
  },
  'imagenet-marine': {
    classes: `
      148 n02071294 killer_whale, 2 n01484850 great_white_shark, 397 n02655020 puffer, 327 n02317335 starfish,
      33 n01664065 loggerhead, 150 n02077923 sea_lion, 107 n01910747 jellyfish, 108 n01914609 sea_anemone, 119 n01978455 rock_crab,
      392 n02606052 rock_beauty`,
  },
}

function subsetOf(name: string): ImagenetSubset {
  const { alias = null, classes } = tables[name]
  return {
    name,
    alias,
    classes: classes.split(',').map((entry) => {
      const [index, synset, className] = entry.trim().split(' ')
      return { imagenetIndex: Number(index), synset, name: className }
    }),
  }
}

export const imagenetSubsetNames: readonly string[] = Object.keys(tables)

/** A subset by name ('imagenette', 'imagenet-a', …) or alias ('ImageFruit'). Throws `not_found` with the names there are. */
export function imagenetSubset(name: string): ImagenetSubset {
  const found = imagenetSubsetNames.find((known) => known === name || (tables[known].alias ?? known) === name)
  if (found === undefined) throw expected('not_found', 'ImageNet subset', imagenetSubsetNames.join(', '), name)
  return subsetOf(found)
}
