"""Names that are probably East Asian: a guess for the group breakdown of sets that state no group, nothing more.

A name counts when its first or last part is a romanised Chinese, Korean, Japanese or Vietnamese family name. Family
names that are common in other languages too (Lee, Kim, Park ...) count only in first place and with a given name of
two syllables behind. Wrong in both directions for some: read differences of a factor, not of a percent.
"""

from __future__ import annotations

from typing import Final

_CHINESE = """
bai cai cao chang chao chen cheng chiang chien chiu chou chow chu ding dong duan feng gao geng gong gu guan guo he
hong hou hsiao hsieh hsu hu huang hui hung jia jiang jiao jin ke kong kuo kwan lai lau li liang liao lien lim lin liu
long lu luo mao mei meng ouyang pang peng qian qiao qin qiu qu ren shao shen sheng shi shih song sui sun tang tao teng
tian tong tsai tsang tseng tung wang wei wen weng wong wu xia xiang xiao xie xiong xu xue yan yang yao ye yeh yeung yin
yu yuan yue zeng zhai zhan zhang zhao zheng zhong zhou zhu zhuang zhuo zong zou
"""
_KOREAN = """
ahn bae baek byun cha cho choi chun chung chyung hwang hyun im jang jeon jeong jong jung kang kim koo kwak kwon lee
moon myung nam noh park roh ryu seo seol shim shin sohn suh yim yoo yoon yun
"""
_JAPANESE = """
abe aoki arai endo fuji fujii fujita fukuda fukui goto hara harada hasegawa hatoyama hayashi honda ikeda imai inoue
ishiba ishida ishihara ishii ito iwasaki izawa kaneko kato kawaguchi kikuchi kimura kobayashi koizumi kojima kondo
kubo kudo maeda makino maruyama masuda masumoto matsuda matsui matsumoto mitarai miura miyazaki mori morita murakami
nakagawa nakajima nakamura nakata nakayama nishida nishimura noda nomura obuchi ogawa okada okamoto okuda okudo ono
ota otsuka ozawa sakai sakamoto sasaki sato shibata shimada shimizu soga sugimoto sugiyama suzuki takagi takahashi
takeda takenaka tamura tanaka tokuyama uchida ueda ueno urushima wada watanabe yamada yamaguchi yamamoto yamanaka
yamasaki yamashita yamazaki yano yasuda yokota yoshida yoshikawa
"""
_VIETNAMESE = "nguyen pham tran"
_SHARED = """
bai cha chang cho chu chun gu he hui im jin kang ke kim lee li lim long lu moon nam noh ono park sato shin song sui
sun yang ye yin yu
"""
FAMILY_NAMES: Final = frozenset(f"{_CHINESE} {_KOREAN} {_JAPANESE} {_VIETNAMESE}".split())
SHARED_NAMES: Final = frozenset(_SHARED.split())


GROUPS: Final = ("East-Asian-named", "others")


def group_of(name: str) -> str:
    """One of GROUPS."""
    return GROUPS[0] if probably_east_asian(name) else GROUPS[1]


def probably_east_asian(name: str) -> bool:
    """For a name written like Given_Family or Family_Given-Name."""
    parts = name.lower().split("_")
    if len(parts) < 2:  # noqa: PLR2004  one word says nothing
        return False
    if any(part in FAMILY_NAMES - SHARED_NAMES for part in (parts[0], parts[-1])):
        return True
    two_syllables = len(parts) == 3 or "-" in parts[1]  # noqa: PLR2004  Kim_Su_Nam, Lee_Tae-sik
    return parts[0] in SHARED_NAMES and two_syllables
