"""Words that questions are made of and that say nothing about what is asked, in six languages."""

_WORDS = """
a about all am an and any are as at be been but by can could did do does for from give had has have he her his
how i if in into is it its list me much many my no not of on or our please she should show so some tell than
that the their them then there these they this those to us was we were what when where which who whom whose
why will with would you your
aber alle als am an auch auf aus bei bin bis bitte da das dass dem den der des die dies diese dieser doch du
ein eine einem einen einer eines er es für gibt haben hat hatte ich ihr im in ist ja kann kein keine man mein
meine meinen meiner mich mir mit nach nein nicht noch nur ob oder ohne sein seine sich sie sind so soll über
um und uns unser unsere vom von vor wann war waren warum was welche welchem welchen welcher welches wem wen
wenn wer werden wessen wie viel viele wieviel wir wird wo woher wohin wurde wurden zu zum zur zwischen
au aux avec ce ces cet cette combien comment dans de des donc du elle elles en est et étaient était eu fait
il ils je la le les leur lui ma mais mes moi mon ne nos notre nous on ont ou où par pas pour pourquoi qu quand
que quel quelle quelles quels qui quoi sa sans se ses si son sont sur ta tes toi ton tu un une va vos votre
vous y
al algo ante como cómo con cual cuál cuales cuáles cuando cuándo cuanto cuánto cuanta cuánta cuantos cuántos
del desde donde dónde dos el ella ellos entre era es esa ese eso esta está este esto ha hace han hasta hay lo
los las más mi mis muy nada nos o para pero por porque qué quien quién se ser si sin sobre son su sus también
tiene todo un una unos y ya yo
ai alla alle anche che chi ci cosa come con cui da dai dal dalla dei del della delle di dove e è ed era gli ha
hanno ho i il in io la le lo loro ma mi mia mio ne nel nella no noi non o per perché più qual quale quali
quando quanta quanto quanti sei si sia sono su sua sui sul sulla suo ti tra tu un una uno vi voi
aan als bij dan dat de deze die dit een en er ge geen had heb hebben heeft het hij hoe hoeveel ik in is je
jij kan maar me met mij mijn naar niet nog nu of om onder ons onze ook op over te tot u uit uw van veel voor
waar waarom wanneer waren wat we welk welke werd wie wij wil worden wordt zal ze zich zij zijn zo zou
"""

FUNCTION_WORDS = frozenset(_WORDS.split())
