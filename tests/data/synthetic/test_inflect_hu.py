"""Hungarian forms, against tables written by hand."""

import pytest

from lai.data.synthetic import inflect_hu
from lai.data.synthetic.lexicon import Lexicon, Verb, load_lexicon

# lemma: accusative, plural, plural accusative, dative, instrumental
NOUNS = """
ló lovat lovak lovakat lónak lóval
alma almát almák almákat almának almával
körte körtét körték körtéket körtének körtével
kutya kutyát kutyák kutyákat kutyának kutyával
madár madarat madarak madarakat madárnak madárral
egér egeret egerek egereket egérnek egérrel
tehén tehenet tehenek teheneket tehénnek tehénnel
majom majmot majmok majmokat majomnak majommal
bagoly baglyot baglyok baglyokat bagolynak bagollyal
kés kést kések késeket késnek késsel
könyv könyvet könyvek könyveket könyvnek könyvvel
levél levelet levelek leveleket levélnek levéllel
tükör tükröt tükrök tükröket tükörnek tükörrel
vödör vödröt vödrök vödröket vödörnek vödörrel
kanál kanalat kanalak kanalakat kanálnak kanállal
pohár poharat poharak poharakat pohárnak pohárral
toll tollat tollak tollakat tollnak tollal
kő követ kövek köveket kőnek kővel
fa fát fák fákat fának fával
ágy ágyat ágyak ágyakat ágynak ággyal
busz buszt buszok buszokat busznak busszal
férfi férfit férfiak férfiakat férfinak férfival
sofőr sofőrt sofőrök sofőröket sofőrnek sofőrrel
szomszéd szomszédot szomszédok szomszédokat szomszédnak szomszéddal
számítógép számítógépet számítógépek számítógépeket számítógépnek számítógéppel
kulcs kulcsot kulcsok kulcsokat kulcsnak kulccsal
bárány bárányt bárányok bárányokat báránynak báránnyal
tányér tányért tányérok tányérokat tányérnak tányérral
keksz kekszet kekszek kekszeket keksznek keksszel
hegedű hegedűt hegedűk hegedűket hegedűnek hegedűvel
"""

# lemma: where, where to
PLACES = """
kert kertben kertbe
konyha konyhában konyhába
étterem étteremben étterembe
iskola iskolában iskolába
piac piacon piacra
híd hídon hídra
tér téren térre
játszótér játszótéren játszótérre
erdő erdőben erdőbe
mező mezőn mezőre
falu faluban faluba
tó tóban tóba
mozi moziban moziba
színház színházban színházba
erkély erkélyen erkélyre
Budapest Budapesten Budapestre
Debrecen Debrecenben Debrecenbe
Párizs Párizsban Párizsba
Bécs Bécsben Bécsbe
Szolnok Szolnokon Szolnokra
"""

# name: accusative, dative, instrumental
NAMES = """
Anna Annát Annának Annával
Noémi Noémit Noéminek Noémivel
Péter Pétert Péternek Péterrel
Balázs Balázst Balázsnak Balázzsal
György Györgyöt Györgynek Györggyel
Judit Juditot Juditnak Judittal
Ágnes Ágnest Ágnesnek Ágnessel
Károly Károlyt Károlynak Károllyal
Bence Bencét Bencének Bencével
Ferenc Ferencet Ferencnek Ferenccel
László Lászlót Lászlónak Lászlóval
Dávid Dávidot Dávidnak Dáviddal
Zsófi Zsófit Zsófinak Zsófival
Róbert Róbertet Róbertnek Róberttel
Katalin Katalint Katalinnak Katalinnal
Dániel Dánielt Dánielnek Dániellel
"""

PERSONS = ("1sg", "3sg", "1pl", "3pl")

# English verb: present indefinite, present definite, past indefinite, past definite (I, she, we, they each)
VERBS = """
eat | eszem eszik eszünk esznek | eszem eszi esszük eszik | ettem evett ettünk ettek | ettem ette ettük ették
drink | iszom iszik iszunk isznak | iszom issza isszuk isszák | ittam ivott ittunk ittak | ittam itta ittuk itták
read | olvasok olvas olvasunk olvasnak | olvasom olvassa olvassuk olvassák | olvastam olvasott olvastunk olvastak \
| olvastam olvasta olvastuk olvasták
write | írok ír írunk írnak | írom írja írjuk írják | írtam írt írtunk írtak | írtam írta írtuk írták
see | látok lát látunk látnak | látom látja látjuk látják | láttam látott láttunk láttak | láttam látta láttuk látták
look for | keresek keres keresünk keresnek | keresem keresi keressük keresik | kerestem keresett kerestünk kerestek \
| kerestem kereste kerestük keresték
cook | főzök főz főzünk főznek | főzöm főzi főzzük főzik | főztem főzött főztünk főztek | főztem főzte főztük főzték
carry | viszek visz viszünk visznek | viszem viszi visszük viszik | vittem vitt vittünk vittek \
| vittem vitte vittük vitték
send | küldök küld küldünk küldenek | küldöm küldi küldjük küldik | küldtem küldött küldtünk küldtek \
| küldtem küldte küldtük küldték
repair | javítok javít javítunk javítanak | javítom javítja javítjuk javítják \
| javítottam javított javítottunk javítottak | javítottam javította javítottuk javították
"""

# English verb: present, past, infinitive
ACTIONS = """
sleep | alszom alszik alszunk alszanak | aludtam aludt aludtunk aludtak | aludni
go | megyek megy megyünk mennek | mentem ment mentünk mentek | menni
play | játszom játszik játszunk játszanak | játszottam játszott játszottunk játszottak | játszani
work | dolgozom dolgozik dolgozunk dolgoznak | dolgoztam dolgozott dolgoztunk dolgoztak | dolgozni
swim | úszom úszik úszunk úsznak | úsztam úszott úsztunk úsztak | úszni
sit | ülök ül ülünk ülnek | ültem ült ültünk ültek | ülni
cry | sírok sír sírunk sírnak | sírtam sírt sírtunk sírtak | sírni
smile | mosolygok mosolyog mosolygunk mosolyognak | mosolyogtam mosolygott mosolyogtunk mosolyogtak | mosolyogni
stand | állok áll állunk állnak | álltam állt álltunk álltak | állni
"""


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load_lexicon()


def rows(table: str) -> list[str]:
    return table.strip().splitlines()


@pytest.mark.parametrize("row", rows(NOUNS))
def test_nouns_have_their_cases(lexicon: Lexicon, row: str) -> None:
    lemma, *forms = row.split()
    noun = next(noun.hungarian for noun in lexicon.nouns if noun.hungarian.lemma == lemma)
    assert [noun.accusative, noun.plural, noun.plural_accusative, noun.dative, noun.instrumental] == forms


@pytest.mark.parametrize("row", rows(PLACES))
def test_places_say_where_and_where_to(lexicon: Lexicon, row: str) -> None:
    lemma, where, where_to = row.split()
    place = next(place for place in lexicon.places if place.hungarian.lemma == lemma)
    word = place.hungarian
    assert (word.inessive if place.inside else word.superessive) == where
    assert (word.illative if place.inside else word.sublative) == where_to


@pytest.mark.parametrize("row", rows(NAMES))
def test_names_have_their_cases(lexicon: Lexicon, row: str) -> None:
    lemma, *forms = row.split()
    name = next(name.hungarian for name in lexicon.names if name.english == lemma)
    assert [name.accusative, name.dative, name.instrumental] == forms


def verb_named(verbs: tuple[Verb, ...], english_base: str) -> Verb:
    return next(verb for verb in verbs if verb.english.base == english_base)


@pytest.mark.parametrize("row", rows(VERBS))
def test_verbs_with_objects_have_both_conjugations(lexicon: Lexicon, row: str) -> None:
    base, *expected = (cell.split() for cell in row.split("|"))
    verb = verb_named(lexicon.verbs, " ".join(base)).hungarian
    forms = [
        [verb.form(tense, person, definite) for person in PERSONS]
        for tense in ("present", "past")
        for definite in (False, True)
    ]
    assert forms == expected


@pytest.mark.parametrize("row", rows(ACTIONS))
def test_verbs_without_objects_have_the_indefinite_conjugation(lexicon: Lexicon, row: str) -> None:
    base, present, past, infinitive = (cell.split() for cell in row.split("|"))
    verb = verb_named(lexicon.intransitive_verbs, base[0]).hungarian
    assert [verb.form("present", person, False) for person in PERSONS] == present
    assert [verb.form("past", person, False) for person in PERSONS] == past
    assert [verb.infinitive_form] == infinitive


def test_possessives_follow_vowel_harmony(lexicon: Lexicon) -> None:
    possessive = {noun.hungarian.lemma: noun.hungarian for noun in lexicon.nouns}
    assert possessive["kutya"].possessive == "kutyája"
    assert possessive["kutya"].possessed == "kutyáját"
    assert possessive["könyv"].possessed == "könyvét"
    assert possessive["autó"].possessed == "autóját"
    assert possessive["kulcs"].possessed == "kulcsát"


@pytest.mark.parametrize("word", ["alma", "Éva", "őr", "utca", "íróasztal", "ökör", "üveg", "egyetem", "úszó"])
def test_az_stands_before_vowels(word: str) -> None:
    assert inflect_hu.finish(f"a(z) {word}") == f"Az {word}"


@pytest.mark.parametrize("word", ["kutya", "hét", "nyolc", "gyerek", "szék", "zsemle", "jó", "Zoltán"])
def test_a_stands_before_consonants(word: str) -> None:
    assert inflect_hu.finish(f"látja a(z) {word}") == f"Látja a {word}"
