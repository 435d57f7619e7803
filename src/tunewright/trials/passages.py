"""General English written for this project: plain prose on many subjects, to see what a model forgot by being tuned."""

_TEXT = """
The river rises in the hills to the north and runs for ninety kilometres before it reaches the sea. In spring,
when the snow melts, it floods the low meadows, and the farmers move their sheep to higher ground.

To make a simple soup, chop two onions and fry them slowly in butter until they are soft. Add the potatoes,
cover them with water, and let them boil for twenty minutes. Season with salt and pepper before you serve it.

A week after the election the two parties had still not agreed on who should lead the council. Both sides said
that they were willing to talk, but neither would give up its claim to the finance committee.

Light travels faster in air than in glass. When a ray passes from one to the other at an angle it changes
direction, and this bending is what allows a lens to gather light into a point.

My grandmother kept a notebook in which she wrote down the weather of every day for forty years. She never
said why she did it. When she died we found eleven volumes in a box under the stairs.

The company announced on Tuesday that sales had fallen by four per cent in the third quarter. It blamed the
weak currency and higher transport costs, and said that it did not expect an improvement before the summer.

Bees find their way by the position of the sun. A worker that has discovered a field of flowers returns to the
hive and dances, and the angle of her dance tells the others which way to fly.

The museum is open every day except Monday from ten in the morning until six in the evening. Children under
twelve do not pay. Large bags must be left in the cloakroom near the entrance.

He had missed the last train, so he walked. The road was empty and the moon was bright enough to read the
signs. At the bridge he met a man with a dog, and they went on together without saying much.

Iron rusts because it combines with oxygen when water is present. Paint keeps the water out, and a thin coat
of zinc protects the iron even where it has been scratched.

The children were asked to draw the house in which they would like to live. Most of them drew a door, two
windows and a chimney with smoke, although almost all of them lived in flats.

In the seventeenth century the town grew rich from salt. Ships carried it along the coast, and the merchants
built tall brick houses whose gables can still be seen from the harbour.

If you lose your key, tell the caretaker at once. He will change the lock the same day, and the cost will be
taken from your deposit unless the key is found within a month.

A good chair supports the lower back and lets the feet rest flat on the floor. The screen should stand at an
arm's length, with its upper edge at the height of the eyes.

The second half began with a mistake by the goalkeeper, who let a harmless ball slip through his hands. After
that the visitors played with confidence and could have won by more than two goals.

Water boils at a lower temperature on a mountain than at the coast, since the pressure of the air is less. For
this reason pasta takes longer to cook in a hut in the Alps.

The judge asked the witness to describe what she had seen from the window. She said that a white van had
stopped in front of the bank and that three people had got out, one of them carrying a ladder.

Learning to read music is like learning an alphabet. At first every note must be spelled out. Later whole
phrases are seen at a glance, and the fingers move before the mind has named them.

The forecast for tomorrow is rain in the west, spreading to all parts by evening. Temperatures will reach
fourteen degrees. On Thursday it will be drier, with long sunny spells in the south.

Before you sign a contract for a flat, read the part about repairs. In many countries the owner must pay for
the heating and the roof, while small damage inside the rooms is a matter for the tenant.

Whales breathe air as we do, and they must come to the surface for it. A sperm whale can stay below for more
than an hour, hunting squid in water so deep that no light reaches it.

The library bought its first computer in the year the roof was repaired. Nobody knew how to use it, so it
stood under a cloth until a student offered to write a catalogue of the maps.

Some people remember faces and others remember names. She remembered voices. On the telephone she knew at once
who was calling, even if she had met the person only once and years before.

A glacier moves slowly, a few centimetres a day, but it moves mountains with it. The stones frozen into its
base scratch the rock below, and by these marks we can tell where the ice once lay.
"""

PASSAGES: tuple[str, ...] = tuple(" ".join(passage.split()) for passage in _TEXT.strip().split("\n\n"))
